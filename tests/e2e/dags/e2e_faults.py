"""Work that goes on while things break."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_zelto.operators.zelto import (
    BulkSubmitCustomerMetricsOperator,
    ListCustomerMetricsOperator,
    SubmitCustomerMetricOperator,
)
from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor


@task
def given(name: str, params: Any = None) -> list[Any]:
    """Give the items of a param."""
    return list(params[name])


with DAG("e2e_waits", schedule=None, params={"conversation_ids": []}):
    CustomerMetricsSensor.partial(
        task_id="wait", labels=["Late"], deferrable=True, poke_interval=2, timeout=600
    ).expand(conversation_id=given("conversation_ids"))

with DAG(
    "e2e_submits",
    schedule=None,
    params={"conversation_id": "", "rows": ""},
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
):
    SubmitCustomerMetricOperator(
        task_id="single", conversation_id="{{ params.conversation_id }}", label="Empathy", score=7
    )
    BulkSubmitCustomerMetricsOperator(task_id="bulk", metrics="{{ params.rows }}", concurrency=4)

with DAG("e2e_network", schedule=None, params={"conversation_id": "", "conn_ids": []}):
    ListCustomerMetricsOperator.partial(
        task_id="list", conversation_id="{{ params.conversation_id }}"
    ).expand(zelto_conn_id=given("conn_ids"))
