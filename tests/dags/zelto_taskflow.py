"""``@task.zelto_metric`` in every way that a DAG can use it."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, task

CALL = "{{ params.conversation_id }}"

with DAG("zelto_taskflow", schedule=None, params={"conversation_id": ""}) as dag:

    @task
    def numbers() -> list[int]:
        return [10, 20]

    @task
    def rows(params: Any = None) -> list[dict[str, Any]]:
        return [{"id": params["conversation_id"], "points": points} for points in (1, 2)]

    @task.zelto_metric(conversation_id=CALL, label="Number", external_id="{{ ti.task_id }}")
    def number(points: int) -> float:
        return points / 2

    @task.zelto_metric(conversation_id=CALL, label="Truth of {{ ti.task_id }}")
    def truth(ti: Any = None) -> bool:
        return bool(ti.task_id)

    @task.zelto_metric(conversation_id=CALL, label="Fields")
    def fields() -> dict[str, Any]:
        return {"score": 92, "verdict": False, "note": "greeting missing"}

    @task.zelto_metric(conversation_id=CALL)
    def several() -> list[dict[str, Any]]:
        return [{"label": "First", "score": 1}, {"label": "Second", "verdict": "pass"}]

    @task.zelto_metric(conversation_id=CALL, label="Mapped {{ ti.map_index }}")
    def mapped(points: int) -> int:
        return points

    @task.zelto_metric
    def mapped_rows(row: dict[str, Any]) -> dict[str, Any]:
        return {"conversation_id": row["id"], "label": f"Row {row['points']}", "score": row["points"]}

    @task.zelto_metric(conversation_id=CALL, label="Waited for")
    async def awaited() -> int:
        return 5

    @task.zelto_metric(conversation_id=CALL, label="Skipped")
    def skipped() -> None:
        raise AirflowSkipException("nothing to say")

    @task
    def echo(stored: Any, score: Any) -> list[Any]:
        return [stored, score]

    number(84)
    truth()
    kept = fields()
    echo(kept, kept["score"])
    several()
    mapped.expand(points=numbers())
    mapped_rows.expand(row=rows())
    awaited()
    skipped()
