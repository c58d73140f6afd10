"""A newcomer's first thousand rows, as the quickstart shows them."""

from __future__ import annotations

# [START dag]
import json
from uuid import uuid4

from airflow.providers.common.compat.sdk import ObjectStoragePath, dag, task

from airflow_provider_zelto.operators.zelto import BulkSubmitCustomerMetricsOperator


@dag(schedule=None, params={"folder": "file:///tmp"})
def first_thousand():
    @task
    def write_scores(params=None):
        """Make up a score for each of a thousand calls."""
        rows = [
            {"conversation_id": str(uuid4()), "label": "Empathy", "score": number % 101}
            for number in range(1000)
        ]
        file = ObjectStoragePath(params["folder"]) / "scores.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(file)

    BulkSubmitCustomerMetricsOperator(
        task_id="submit",
        metrics=write_scores(),
        rejects_path="{{ params.folder }}/rejects.jsonl",
    )


first_thousand()
# [END dag]
