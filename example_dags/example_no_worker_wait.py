"""Wait for a call's metric without any worker: in the triggerer from start to end. Needs Airflow 3.3."""

from __future__ import annotations

from typing import Any

# [START imports]
from airflow.providers.common.compat.sdk import Param, dag, task

from airflow_provider_zelto.operators.zelto import SubmitCustomerMetricOperator
from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor

# [END imports]


@dag(
    schedule=None,
    catchup=False,
    params={
        "conversation_id": Param(
            "6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21",
            type="string",
            format="uuid",
            title="Conversation id",
            description="The call in Zelto to wait for.",
        )
    },
    tags=["zelto", "example"],
    doc_md=__doc__,
)
def example_no_worker_wait() -> None:
    submit = SubmitCustomerMetricOperator(
        task_id="submit",
        conversation_id="{{ params.conversation_id }}",
        label="Compliance Check",
        score=92,
    )

    # [START wait]
    wait = CustomerMetricsSensor(
        task_id="wait",
        conversation_id="{{ params.conversation_id }}",
        labels=["Compliance Check"],
        updated_after="{{ ti.xcom_pull(task_ids='submit', map_indexes=-1)['updatedAt'] }}",
        start_from_trigger=True,
        end_from_trigger=True,
        poke_interval=3,
        timeout=600,
    )
    # [END wait]

    @task
    def report(metrics: list[dict[str, Any]]) -> dict[str, Any]:
        """Give the score of each metric that was waited for."""
        return {metric["label"]: metric.get("score") for metric in metrics}

    submit >> wait
    report(wait.output)


example_no_worker_wait()
