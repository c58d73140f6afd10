"""The operators for many rows in every way that a DAG can use them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_zelto.operators.zelto import (
    BulkSubmitCustomerMetricsOperator,
    ExportCustomerMetricsOperator,
)

PARAMS = {"calls": [], "folder": ""}

#: What ended the tries of the task that has little time.
ended_by: list[type[BaseException]] = []


class Watched(BulkSubmitCustomerMetricsOperator):
    """Tells what ended a try: not every Airflow gives it to ``on_retry_callback``."""

    def execute(self, context: Any) -> Any:
        try:
            return super().execute(context)
        except BaseException as error:
            ended_by.append(type(error))
            raise


with DAG("zelto_bulk", schedule=None, params=PARAMS) as dag:

    @task
    def calls(params: Any = None) -> list[str]:
        return list(params["calls"])

    @task
    def score(call: str) -> dict[str, Any]:
        return {"conversation_id": call, "label": "Of mapped tasks", "score": 1, "note": "{{ not rendered }}"}

    @task
    def rows(ids: list[str]) -> list[dict[str, Any]]:
        return [{"conversation_id": call, "label": "Of a list", "score": 2} for call in ids]

    @task
    def shards(ids: list[str]) -> list[list[dict[str, Any]]]:
        return [
            [{"conversation_id": call, "label": f"Of shard {number}", "score": 3} for call in ids]
            for number in range(2)
        ]

    ids = calls()
    of_mapped_tasks = BulkSubmitCustomerMetricsOperator(
        task_id="of_mapped_tasks", metrics=score.expand(call=ids)
    )
    of_a_list = BulkSubmitCustomerMetricsOperator(task_id="of_a_list", metrics=rows(ids))
    of_literals = BulkSubmitCustomerMetricsOperator(
        task_id="of_literals",
        metrics=[
            {"conversation_id": "{{ params.calls[0] }}", "label": "Of {{ 'Jinja' }}", "score": "{{ 40 + 2 }}"}
        ],
    )
    of_a_file = BulkSubmitCustomerMetricsOperator(
        task_id="of_a_file",
        metrics="file://{{ params.folder }}/rows.jsonl",
        max_rejects=1,
        rejects_path="{{ params.folder }}/{{ ti.task_id }}.rejects.jsonl",
    )
    of_shards = BulkSubmitCustomerMetricsOperator.partial(
        task_id="of_shards", rejects_path="{{ params.folder }}/{{ ti.map_index }}.rejects.jsonl"
    ).expand(metrics=shards(ids))
    export = ExportCustomerMetricsOperator(
        task_id="export",
        conversation_ids=ids,
        path="{{ params.folder }}/{{ ti.task_id }}.jsonl",
        labels=["Of a {{ 'list' }}", "Of shard 1"],
    )
    [of_mapped_tasks, of_a_list, of_literals, of_a_file, of_shards] >> export

with DAG("zelto_bulk_in_time", schedule=None, params=PARAMS) as in_time:
    Watched(
        task_id="submit",
        metrics="file://{{ params.folder }}/rows.jsonl",
        concurrency=2,
        execution_timeout=timedelta(seconds=3),
        retries=1,
        retry_delay=timedelta(0),
    )

with DAG("zelto_bulk_ended", schedule=None, params=PARAMS) as ended:
    BulkSubmitCustomerMetricsOperator(
        task_id="submit", metrics="file://{{ params.folder }}/rows.jsonl", concurrency=4
    )
