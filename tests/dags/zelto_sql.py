"""The SQL transfer with everything templated: a query from a file, its parameters, its connection."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_zelto.transfers.sql_to_zelto import SqlToZeltoOperator

with DAG("zelto_sql", schedule=None, params={"table": "", "lowest": 0, "folder": ""}) as dag:
    SqlToZeltoOperator(
        task_id="submit",
        sql="scores.sql",
        sql_conn_id="{{ 'ware' }}house",
        parameters={"lowest": "{{ params.lowest }}"},
        rejects_path="{{ params.folder }}/{{ ti.task_id }}.jsonl",
    )
