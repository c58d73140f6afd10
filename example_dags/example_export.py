"""Write the metrics of many calls to one JSON Lines file, and read it downstream."""

from __future__ import annotations

import json
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

# [START imports]
from airflow.providers.common.compat.sdk import ObjectStoragePath, Param, dag, task

from airflow_provider_zelto.operators.zelto import ExportCustomerMetricsOperator

# [END imports]


@dag(
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "folder": Param(
            Path(tempfile.gettempdir(), "zelto-export").as_uri(), type="string", title="Folder for the export"
        ),
        "conversation_ids": Param(
            ["6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21"],
            type="array",
            items={"type": "string", "format": "uuid"},
            title="Conversation ids",
            description="The calls whose metrics are exported.",
        ),
    },
    tags=["zelto", "example"],
    doc_md=__doc__,
)
def example_export() -> None:
    # [START export]
    @task
    def find_calls(params: Any = None) -> list[str]:
        """Choose the calls."""
        return [str(call) for call in params["conversation_ids"]]

    export = ExportCustomerMetricsOperator(
        task_id="export",
        conversation_ids=find_calls(),
        path="{{ params.folder }}/metrics.jsonl",
        concurrency=8,
    )

    @task
    def mean_score(summary: dict[str, Any]) -> float | None:
        """Read the file again, a line for each metric."""
        with ObjectStoragePath(summary["path"]).open() as file:
            metrics = [json.loads(line) for line in file.read().splitlines()]
        scores = [metric["score"] for metric in metrics if metric.get("score") is not None]
        return sum(scores) / len(scores) if scores else None

    # [END export]
    mean_score(export.output)


example_export()
