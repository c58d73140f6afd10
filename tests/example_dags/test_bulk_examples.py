from __future__ import annotations

import json
import sqlite3

import pytest

from example_dags.example_bulk_submit import LABELS, example_bulk_submit
from example_dags.example_export import example_export
from example_dags.example_sharded_submit import example_sharded_submit
from example_dags.example_sql_to_zelto import example_sql_to_zelto


@pytest.fixture
def calls(emulator):
    return [emulator.add_conversation() for _ in range(3)]


def test_the_bulk_example_submits_a_file_and_a_list(emulator, calls, run_dag, tmp_path):
    unknown = "00000000-0000-4000-8000-000000000000"
    run = run_dag(example_bulk_submit(), folder=f"file://{tmp_path}", conversation_ids=[*calls, unknown])
    # The list names the unknown call too, and takes no rejects.
    assert run.states["from_file"] == "success"
    assert run.states["from_list"] == "failed"
    assert run.xcom("from_file")["submitted"] == len(calls) * len(LABELS)
    assert run.xcom("report").startswith("9 stored, 3 rejected in ")
    rejects = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert {reject["row"]["conversation_id"] for reject in rejects} == {unknown}
    assert all("404" in reject["reason"] for reject in rejects)
    for call in calls:
        assert {metric["label"] for metric in emulator.metrics(call)} >= set(LABELS)


def test_the_sharded_example_submits_every_row_once(emulator, calls, run_dag, tmp_path):
    run = run_dag(
        example_sharded_submit(), folder=f"file://{tmp_path}", conversation_ids=calls, rows=30, shards=3
    )
    assert run.state == "success"
    assert run.xcom("count") == 30
    assert [len(emulator.metrics(call)) for call in calls] == [10, 10, 10]
    assert len(emulator.journal(method="POST")) == 30


def test_the_sql_example_submits_what_the_query_finds(emulator, calls, run_dag, tmp_path, monkeypatch):
    database = tmp_path / "warehouse.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE call_scores (call_id, check_name, points, explanation)")
        connection.executemany(
            "INSERT INTO call_scores VALUES (?, 'Compliance Check', ?, NULL)",
            [(call, points) for call, points in zip(calls, (20, 60, 100), strict=True)],
        )
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(database)}))
    run = run_dag(example_sql_to_zelto(), lowest_score=50)
    assert run.state == "success"
    assert run.xcom("submit_scores")["submitted"] == 2
    assert [len(emulator.metrics(call)) for call in calls] == [0, 1, 1]


def test_the_export_example_writes_a_file_and_reads_it(emulator, calls, run_dag, tmp_path):
    for call, score in zip(calls, (10, 20, 60), strict=True):
        emulator.add_metric(call, "Compliance Check", score=score)
    run = run_dag(example_export(), folder=f"file://{tmp_path}", conversation_ids=calls)
    assert run.state == "success"
    assert run.xcom("export")["metrics"] == 3
    assert run.xcom("mean_score") == 30
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["conversationId"] for line in lines] == calls
