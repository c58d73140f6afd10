"""One submit for each of many calls."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_zelto.operators.zelto import SubmitCustomerMetricOperator

with DAG(
    "e2e_mapped",
    schedule=None,
    params={"conversation_ids": []},
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
):

    @task
    def scores(params: Any = None) -> list[dict[str, Any]]:
        return [
            {"conversation_id": call, "score": number}
            for number, call in enumerate(params["conversation_ids"])
        ]

    SubmitCustomerMetricOperator.partial(task_id="submit", label="Mapped").expand_kwargs(scores())
