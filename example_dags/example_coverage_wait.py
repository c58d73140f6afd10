"""Wait until nearly all calls of a night are evaluated, without a worker, and export what there is."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

# [START imports]
from airflow.providers.common.compat.sdk import ObjectStoragePath, Param, dag, task

from airflow_provider_zelto.operators.zelto import ExportCustomerMetricsOperator
from airflow_provider_zelto.sensors.zelto import CustomerMetricsCoverageSensor

# [END imports]


@dag(
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "folder": Param(
            Path(tempfile.gettempdir(), "zelto-coverage").as_uri(),
            type="string",
            title="Folder for the list of calls and the export",
        ),
        "conversation_ids": Param(
            ["6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21"],
            type="array",
            items={"type": "string", "format": "uuid"},
            title="Conversation ids",
            description="The calls that are to be evaluated.",
        ),
    },
    tags=["zelto", "example"],
    doc_md=__doc__,
)
def example_coverage_wait() -> None:
    # [START wait]
    @task
    def list_calls(params: Any = None) -> str:
        """Write the calls to a file, an id a line: a list of up to 1000 would do as XCom."""
        folder = ObjectStoragePath(params["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "calls.txt").open("w") as file:
            file.write("\n".join(map(str, params["conversation_ids"])))
        return f"{params['folder']}/calls.txt"

    calls = list_calls()
    evaluated = CustomerMetricsCoverageSensor(
        task_id="evaluated",
        conversation_ids=calls,
        labels=["Compliance Check", "CSAT"],
        min_coverage=0.75,
        deferrable=True,
        poke_interval=3,
        timeout=timedelta(hours=6),
    )
    # [END wait]

    # [START use]
    export = ExportCustomerMetricsOperator(
        task_id="export", conversation_ids=calls, path="{{ params.folder }}/metrics.jsonl"
    )

    @task
    def report(waited: dict[str, Any], exported: dict[str, Any]) -> str:
        """Say how many of the calls were evaluated."""
        missing = f", not {', '.join(waited['missing'])}" if waited["missing"] else ""
        return f"{waited['covered']} of {waited['calls']} calls{missing}: {exported['metrics']} metrics"

    evaluated >> export
    report(evaluated.output, export.output)
    # [END use]


example_coverage_wait()
