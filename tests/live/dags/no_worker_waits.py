"""Waits that start or end in the triggerer, in each of the ways in which they can come to an end."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_zelto.operators.zelto import SubmitCustomerMetricOperator
from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor

MINOR = tuple(map(int, version("apache-airflow").split(".")[:2]))
CALL = "0d9f7f5e-7a44-4e6c-9f5b-2c2a4c6e1b11"
WITHOUT_WORKER: dict[str, Any] = {"start_from_trigger": True, "end_from_trigger": True}

with DAG(
    "no_worker_waits",
    schedule=None,
    params={"conversation_id": CALL},
    default_args={"retries": 2, "retry_delay": timedelta(0), "poke_interval": 1},
) as dag:
    submit = SubmitCustomerMetricOperator(
        task_id="submit", conversation_id=CALL, label="Tone", score=7, retries=0
    )

    @task
    def report(metrics: Any) -> list[Any]:
        """Look at the XCom as a task in a worker gets it."""
        return [type(metrics).__name__, metrics[0]["score"]]

    ended = CustomerMetricsSensor(
        task_id="ended", conversation_id=CALL, labels=["Tone"], end_from_trigger=True
    )
    mapped = CustomerMetricsSensor.partial(task_id="mapped", labels=["Tone"], end_from_trigger=True)
    mapped.expand(conversation_id=[CALL])
    report(ended.output)
    if MINOR not in ((3, 1), (3, 2)):
        CustomerMetricsSensor(task_id="wait", conversation_id=CALL, labels=["Tone"], **WITHOUT_WORKER)
        CustomerMetricsSensor(
            task_id="refused", conversation_id=CALL, zelto_conn_id="zelto_refused", **WITHOUT_WORKER
        )
        CustomerMetricsSensor(
            task_id="soft",
            conversation_id=CALL,
            labels=["Never"],
            timeout=2,
            soft_fail=True,
            **WITHOUT_WORKER,
        )
    if MINOR >= (3, 3):
        submit >> CustomerMetricsSensor(
            task_id="templated",
            conversation_id="{{ params.conversation_id }}",
            labels=["Tone"],
            updated_after="{{ ti.xcom_pull(task_ids='submit', map_indexes=-1)['updatedAt'] }}",
            **WITHOUT_WORKER,
        )
