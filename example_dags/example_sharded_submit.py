"""Submit a million rows: one file for each shard, a mapped task in a pool, and one rate for all of them."""

from __future__ import annotations

import json
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

# [START imports]
from airflow.providers.common.compat.sdk import ObjectStoragePath, Param, dag, task

from airflow_provider_zelto.operators.zelto import BulkSubmitCustomerMetricsOperator

# [END imports]

# [START numbers]
POOL = "zelto"  # with a slot for each shard at once
SHARDS_AT_ONCE = 4
REQUESTS_PER_SECOND = 200
# [END numbers]


@dag(
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "folder": Param(
            Path(tempfile.gettempdir(), "zelto-shards").as_uri(), type="string", title="Folder for the shards"
        ),
        "conversation_ids": Param(
            ["6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21"],
            type="array",
            items={"type": "string", "format": "uuid"},
            minItems=1,
            title="Conversation ids",
            description="The calls in Zelto that the rows belong to.",
        ),
        "rows": Param(1_000_000, type="integer", minimum=1, title="Rows"),
        "shards": Param(20, type="integer", minimum=1, maximum=1000, title="Shards"),
    },
    tags=["zelto", "example"],
    doc_md=__doc__,
)
def example_sharded_submit() -> None:
    @task
    def write_shards(params: Any = None) -> list[str]:
        """Write the rows; those for the same call and label go into the same shard, so that the last wins."""
        folder = ObjectStoragePath(params["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        calls = params["conversation_ids"]
        files = [folder / f"shard-{shard:04}.jsonl" for shard in range(params["shards"])]
        for shard, file in enumerate(files):
            with file.open("w") as lines:
                for row in range(shard, params["rows"], params["shards"]):
                    metric = {
                        "conversation_id": calls[row % len(calls)],
                        "label": f"Check {row}",
                        "score": row % 101,
                    }
                    lines.write(json.dumps(metric) + "\n")
        return [str(file) for file in files]

    # [START shards]
    submit = BulkSubmitCustomerMetricsOperator.partial(
        task_id="submit",
        pool=POOL,
        max_active_tis_per_dag=SHARDS_AT_ONCE,
        # No shard knows of the others, so each takes its part of the rate that they share.
        max_requests_per_second=REQUESTS_PER_SECOND / SHARDS_AT_ONCE,
    ).expand(metrics=write_shards())
    # [END shards]

    @task
    def count(summaries: list[dict[str, Any]]) -> int:
        """Add up what the shards submitted."""
        return sum(summary["submitted"] + summary["resumed"] for summary in summaries)

    count(submit.output)


example_sharded_submit()
