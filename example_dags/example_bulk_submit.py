"""Submit a night's scores from one task: from a file, or from the list a task returns."""

from __future__ import annotations

import json
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

# [START imports]
from airflow.providers.common.compat.sdk import ObjectStoragePath, Param, dag, task

from airflow_provider_zelto.operators.zelto import BulkSubmitCustomerMetricsOperator

# [END imports]

LABELS = ("Compliance Check", "Empathy", "Resolution")


@dag(
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "folder": Param(
            Path(tempfile.gettempdir(), "zelto-scores").as_uri(),
            type="string",
            title="Folder",
            description="Where the scores are and the rejected rows go, for ObjectStoragePath.",
        ),
        "conversation_ids": Param(
            ["6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21"],
            type="array",
            items={"type": "string", "format": "uuid"},
            title="Conversation ids",
            description="The calls in Zelto that are scored.",
        ),
    },
    tags=["zelto", "example"],
    doc_md=__doc__,
)
def example_bulk_submit() -> None:
    @task
    def write_scores(params: Any = None) -> str:
        """Write one row for each call and label, as an evaluation job would overnight."""
        file = ObjectStoragePath(params["folder"]) / "scores.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {"conversation_id": call, "label": label, "score": UUID(call).int % 101}
            for call in params["conversation_ids"]
            for label in LABELS
        ]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(file)

    # [START file]
    from_file = BulkSubmitCustomerMetricsOperator(
        task_id="from_file",
        metrics="{{ params.folder }}/scores.jsonl",
        concurrency=16,
        max_rejects=10,
        rejects_path="{{ params.folder }}/rejects.jsonl",
    )
    # [END file]

    # [START list]
    @task
    def judge(params: Any = None) -> list[dict[str, Any]]:
        """Give one verdict for each call."""
        return [
            {"conversation_id": call, "label": "Consent", "verdict": "pass"}
            for call in params["conversation_ids"]
        ]

    from_list = BulkSubmitCustomerMetricsOperator(task_id="from_list", metrics=judge())
    # [END list]

    # [START report]
    @task
    def report(summary: dict[str, Any]) -> str:
        """Say what became of the rows."""
        return f"{summary['submitted']} stored, {summary['rejected']} rejected in {summary['seconds']} s"

    # [END report]
    write_scores() >> from_file >> from_list
    report(from_file.output)


example_bulk_submit()
