"""What people get wrong, one task for each."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_zelto.operators.zelto import ListCustomerMetricsOperator, SubmitCustomerMetricOperator
from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor

CALL = "{{ params.conversation_id }}"

with DAG(
    "e2e_failures",
    schedule=None,
    params={"conversation_id": "", "missing_id": "", "score": 0},
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
):
    ListCustomerMetricsOperator(task_id="wrong_key", conversation_id=CALL, zelto_conn_id="zelto_refused")
    CustomerMetricsSensor(
        task_id="wrong_key_of_a_wait",
        conversation_id=CALL,
        zelto_conn_id="zelto_refused",
        deferrable=True,
        poke_interval=1,
        timeout=120,
    )
    SubmitCustomerMetricOperator(
        task_id="missing_call", conversation_id="{{ params.missing_id }}", label="Empathy", score=1
    )
    SubmitCustomerMetricOperator(
        task_id="bad_score", conversation_id=CALL, label="Empathy", score="{{ params.score }}"
    )
    SubmitCustomerMetricOperator(
        task_id="bad_call_id", conversation_id="{{ params.score }}", label="Empathy", score=1
    )
    SubmitCustomerMetricOperator(
        task_id="bad_template", conversation_id="{{ params.nothing.id }}", label="Empathy", score=1
    )
    ListCustomerMetricsOperator(task_id="no_connection", conversation_id=CALL, zelto_conn_id="zelto_nowhere")
