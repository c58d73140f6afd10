"""Tasks that name a call, or do not, in every way that shows in the link to it."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_zelto.operators.zelto import ListCustomerMetricsOperator, SubmitCustomerMetricOperator
from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor

CALL = "{{ params.conversation_id }}"

with DAG("zelto_links", schedule=None, params={"conversation_id": ""}) as dag:
    submit = SubmitCustomerMetricOperator(task_id="submit", conversation_id=CALL, label="a", score=1)
    wait = CustomerMetricsSensor(task_id="wait", conversation_id=CALL, poke_interval=0.1)
    listed = ListCustomerMetricsOperator(
        task_id="list", conversation_id=CALL, zelto_conn_id="{{ 'zelto_' }}default"
    )
    ListCustomerMetricsOperator.partial(task_id="mapped").expand(conversation_id=[CALL])
    # Fails, for Zelto does not know the call, and shows it all the same.
    ListCustomerMetricsOperator(task_id="fails", conversation_id="00000000-0000-4000-8000-000000000000")
    ListCustomerMetricsOperator(task_id="no_template", conversation_id=CALL, zelto_conn_id="zelto_plain")
    ListCustomerMetricsOperator(task_id="no_connection", conversation_id=CALL, zelto_conn_id="zelto_nowhere")

    @task.zelto_metric(label="b")
    def decorated(call: str) -> dict[str, object]:
        return {"conversation_id": call, "score": 1}

    submit >> wait >> listed
    decorated(CALL)
