"""Test connections from a task, where they have to work."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseHook, task

with DAG("e2e_connections", schedule=None, params={"conn_ids": []}):

    @task
    def conn_ids(params: Any = None) -> list[str]:
        return list(params["conn_ids"])

    @task
    def test(conn_id: str) -> list[Any]:
        hook: Any = BaseHook.get_hook(conn_id)
        return list(hook.test_connection())

    test.expand(conn_id=conn_ids())
