from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import nullcontext

import pytest
from airflow.exceptions import AirflowTaskTerminated
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowTaskTimeout

from airflow_provider_zelto import batch_run
from airflow_provider_zelto.exceptions import (
    AuthenticationError,
    InvalidConnectionError,
    InvalidMetricError,
    PermissionDeniedError,
    TooManyRejectsError,
)
from airflow_provider_zelto.operators.zelto import BulkSubmitCustomerMetricsOperator
from tests.batches import StateStore, judge, make_rows, rows_stored, submits
from tests.conftest import AIRFLOW_VERSION, API_KEY
from tests.dags import zelto_bulk


def bulk(metrics, **options):
    return BulkSubmitCustomerMetricsOperator(task_id="bulk", metrics=metrics, **options)


@pytest.fixture
def calls(emulator):
    return [emulator.add_conversation() for _ in range(10)]


@pytest.fixture
def file_of(tmp_path):
    """Write rows to a JSON Lines file; give its path."""

    def written(rows, name="rows.jsonl", end=""):
        path = tmp_path / name
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + end)
        return str(path)

    return written


def counts(summary):
    return summary["submitted"], summary["rejected"], summary["resumed"]


def test_a_list_is_submitted(emulator, calls):
    rows = make_rows(calls, 50)
    summary = bulk(rows).execute({})
    assert list(summary) == ["submitted", "rejected", "resumed", "seconds", "rejects_path"]
    assert counts(summary) == (50, 0, 0)
    judge(emulator, rows)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_file_is_submitted(emulator, calls, file_of, scheme):
    rows = make_rows(calls, 50)
    assert counts(bulk(scheme + file_of(rows)).execute({})) == (50, 0, 0)
    judge(emulator, rows)


def test_a_csv_file_is_submitted(emulator, calls, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        "conversationId,LABEL,score,verdict,note\r\n"
        f'{calls[0]},Tone,92.5,,"two\nlines"\r\n'
        f"{calls[1]},Tone,,pass,\r\n"
    )
    assert counts(bulk(str(path)).execute({})) == (2, 0, 0)
    assert rows_stored(emulator) == [
        {"conversation_id": calls[0], "label": "Tone", "score": 92.5, "note": "two\nlines"},
        {"conversation_id": calls[1], "label": "Tone", "verdict": "pass"},
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", ""),
        ("rows.jsonl", "\n\n"),
        ("rows.csv", ""),
        ("rows.csv", "conversation_id,label,score\n"),
    ],
)
def test_a_file_without_rows_is_a_batch_of_none(emulator, tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    assert counts(bulk(str(path)).execute({})) == (0, 0, 0)
    assert submits(emulator, None) == []


def test_a_broken_last_line_is_one_rejected_row(emulator, calls, file_of, tmp_path):
    rows = make_rows(calls, 20)
    path = tmp_path / "rejects.jsonl"
    operator = bulk(file_of(rows, end='{"conversation_id": "3c9'), max_rejects=1, rejects_path=str(path))
    assert counts(operator.execute({})) == (20, 1, 0)
    judge(emulator, rows)
    assert json.loads(path.read_text()) == {
        "row_number": 21,
        "row": '{"conversation_id": "3c9',
        "reason": "not JSON: Unterminated string starting at: line 1 column 21 (char 20)",
    }


def test_an_unknown_column_fails_the_task_before_anything_is_sent(emulator, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("conversation_id,label,points\nx,Tone,5\n")
    with pytest.raises(
        InvalidMetricError, match=r"column: 'points' is not known .* known are conversation_id, "
    ):
        bulk(str(path)).execute({})
    assert submits(emulator, None) == []


def test_a_file_that_is_not_there_fails_the_task(emulator, tmp_path):
    with pytest.raises(FileNotFoundError):
        bulk(str(tmp_path / "rows.jsonl")).execute({})


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"metrics": "s3://bucket/rows.jsonl.gz"}, ["metrics"]),
        ({"metrics": "rows"}, ["metrics"]),
        ({"concurrency": 0}, ["concurrency"]),
        ({"max_rejects": -1, "max_requests_per_second": 0}, ["max_requests_per_second", "max_rejects"]),
        ({"rejects_path": 5}, ["rejects_path"]),
        ({"dry_run": "maybe"}, ["dry_run"]),
    ],
)
def test_a_literal_argument_that_is_wrong_fails_when_the_dag_is_parsed(arguments, fields):
    with pytest.raises(InvalidMetricError) as caught:
        bulk(**{"metrics": [], **arguments})
    assert [error.field for error in caught.value.errors] == fields


@pytest.mark.parametrize("metrics", ["{{ params.path }}", "s3://bucket/{{ ds }}.unknown", []])
def test_a_templated_argument_is_left_until_the_task_runs(metrics):
    bulk(metrics, rejects_path="{{ params.rejects }}")


@pytest.mark.parametrize("metrics", ["{{ ti }}", "[{'label': 'Tone'}]"])
def test_text_that_is_no_file_of_a_known_format_fails_when_the_task_runs(emulator, metrics):
    operator = bulk("{{ params.path }}")
    operator.metrics = metrics
    with pytest.raises(
        InvalidMetricError, match=r"metrics: .* is not a file ending in jsonl, ndjson, csv, parquet"
    ):
        operator.execute({})


@pytest.mark.parametrize("metrics", [None, 5, {"conversation_id": "x", "label": "Tone", "score": 1}])
def test_metrics_that_are_no_list_fail_without_a_retry(emulator, metrics):
    operator = bulk([])
    operator.metrics = metrics  # what an XCom may turn out to be
    with pytest.raises(InvalidMetricError, match="metrics: "):
        operator.execute({})


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 401}, AuthenticationError),
        ({"status": 403}, PermissionDeniedError),
        ({"status": 401, "every": 200}, AuthenticationError),
    ],
)
def test_a_refused_key_stops_at_once(emulator, calls, fault, error):
    emulator.fault(**fault)
    with pytest.raises(error):
        bulk(make_rows(calls, 2000), max_rejects=None, concurrency=16).execute({})
    statuses = [entry["status"] for entry in submits(emulator, None)]
    # Others were under way, and some were answered, and others sent, before the refusal was read.
    assert len(statuses) - statuses.index(fault["status"]) < 100


def test_a_connection_that_cannot_be_used_fails_before_anything_is_read(connect, tmp_path):
    connect("http://example.com")
    with pytest.raises(InvalidConnectionError):
        bulk(str(tmp_path / "nowhere.jsonl")).execute({})


def test_too_many_rejects_fail_the_task_without_a_retry(emulator, calls):
    with pytest.raises(AirflowFailException) as caught:
        bulk([{"conversation_id": calls[0], "label": "Tone"}, *make_rows(calls, 20)]).execute({})
    assert type(caught.value) is TooManyRejectsError
    assert "row 1: verdict and score: None is not enough" in str(caught.value)


def test_a_dry_run_needs_no_connection_and_sends_nothing(emulator, calls):
    summary = bulk(make_rows(calls, 30), dry_run=True, zelto_conn_id="nowhere").execute({})
    assert counts(summary) == (30, 0, 0)
    assert submits(emulator, None) == []


def test_a_dry_run_leaves_the_progress_of_others_alone(emulator, calls):
    store = StateStore(zelto_batch='{"scope": "zelto_default", "rows": 5, "digest": "x", "refusals": {}}')
    before = dict(store)
    bulk(make_rows(calls, 30), dry_run=True).execute({"task_state_store": store})
    assert store == before


def test_a_rate_is_kept(emulator, calls):
    began = time.monotonic()
    bulk(make_rows(calls, 60), max_requests_per_second=50).execute({})
    assert time.monotonic() - began > 1.1


def test_the_log_says_how_far_it_is_and_how_it_ended(emulator, calls, logged, monkeypatch):
    monkeypatch.setattr(batch_run, "SECONDS_BETWEEN_REPORTS", 0.05)
    emulator.settings(latency=0.02)
    bulk(make_rows(calls, 100), concurrency=8).execute({})
    lines = [line.text for line in logged() if line.level == "INFO"]
    assert [line for line in lines if line.startswith("So far: ") and " s left of 100 rows." in line]
    assert [line for line in lines if line.startswith("All rows are dealt with: 100 submitted, 0 rejected, ")]
    assert not [line for line in lines if "HTTP Request" in line]


def test_the_key_is_nowhere(emulator, calls, connect, logged, tmp_path):
    emulator.fault(status=400, body={"error": f"{API_KEY} may not"}, path=calls[3])
    emulator.fault(status=503, body={"error": f"{API_KEY} has to wait"}, share=0.1)
    path = tmp_path / "rejects.jsonl"
    store = StateStore()
    operator = bulk(make_rows(calls, 50), max_rejects=4, rejects_path=str(path))
    with pytest.raises(TooManyRejectsError) as caught:
        operator.execute({"task_state_store": store})
    said = [str(caught.value), repr(caught.value), path.read_text(), json.dumps(store), str(vars(operator))]
    assert "*** may not" in said[0]
    assert [text for text in (*said, *(line.text for line in logged())) if API_KEY in text] == []


def test_every_way_to_give_the_rows_works_in_a_dag(emulator, run_dag, file_of, tmp_path):
    calls = [emulator.add_conversation() for _ in range(2)]
    rows = [{"conversation_id": call, "label": "Of a file", "score": 4} for call in calls]
    file_of([*rows, {"label": "bad"}])
    run = run_dag(zelto_bulk.dag, calls=calls, folder=str(tmp_path))
    assert run.states == dict.fromkeys(run.states, "success")

    def xcom(task_id, map_index=-1):
        summary = run.xcom(task_id, map_index=map_index)
        return *counts(summary), summary["rejects_path"]

    rejects = str(tmp_path / "of_a_file.rejects.jsonl")
    assert xcom("of_mapped_tasks") == (2, 0, 0, None)
    assert xcom("of_a_list") == (2, 0, 0, None)
    assert xcom("of_literals") == (1, 0, 0, None)
    assert xcom("of_a_file") == (2, 1, 0, rejects)
    for shard in range(2):
        assert xcom("of_shards", shard) == (2, 0, 0, str(tmp_path / f"{shard}.rejects.jsonl"))
    assert json.loads((tmp_path / "of_a_file.rejects.jsonl").read_text())["row_number"] == 3
    expected = {
        (call, label): score
        for call in calls
        for label, score in {
            "Of mapped tasks": 1,
            "Of a list": 2,
            "Of a file": 4,
            **{f"Of shard {number}": 3 for number in range(2)},
        }.items()
    }
    expected[calls[0], "Of Jinja"] = 42
    stored = rows_stored(emulator)
    assert {(row["conversation_id"], row["label"]): row["score"] for row in stored} == expected
    assert {row["note"] for row in stored if row["label"] == "Of mapped tasks"} == {"{{ not rendered }}"}
    exported = [json.loads(line) for line in (tmp_path / "export.jsonl").read_text().splitlines()]
    assert [(metric["conversationId"], metric["label"]) for metric in exported] == [
        (call, label) for call in calls for label in ("Of a list", "Of shard 1")
    ]


def test_a_task_out_of_time_is_retried_and_goes_on_where_airflow_keeps_progress(
    emulator, run_dag, file_of, tmp_path
):
    rows = make_rows([emulator.add_conversation() for _ in range(40)], 40)
    file_of(rows)
    emulator.fault(delay=0.7, count=12)
    zelto_bulk.ended_by.clear()
    try:
        run = run_dag(zelto_bulk.in_time, calls=[], folder=str(tmp_path))
    except AirflowTaskTimeout:  # which Airflow 2 lets through, and leaves the next try to its user
        run = run_dag(zelto_bulk.in_time, calls=[], folder=str(tmp_path))
    assert run.states == {"submit": "success"}
    assert zelto_bulk.ended_by == [AirflowTaskTimeout]
    submitted, rejected, resumed = counts(run.xcom("submit"))
    assert (submitted + resumed, rejected) == (40, 0)
    if AIRFLOW_VERSION >= (3, 3):
        assert 0 < resumed < 12
        assert len(submits(emulator)) == 40
    else:
        assert resumed == 0
    judge(emulator, rows, tries=2)


@pytest.fixture
def sigterm():
    """Outlive a SIGTERM, and end up with the handler there was."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm")
def test_a_task_that_is_ended_finishes_what_is_under_way_and_fails(
    emulator, calls, run_dag, file_of, tmp_path
):
    file_of(make_rows(calls, 2000))
    emulator.settings(latency=0.02)

    def end():
        # A task that never sends fails the test, and is not waited for.
        for _ in range(3000):
            if len(emulator.journal()) >= 40:
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(0.02)

    thread = threading.Thread(target=end)
    thread.start()
    # Airflow 2 raises that in the task, and lets it through.
    with pytest.raises(AirflowTaskTerminated) if AIRFLOW_VERSION < (3, 0) else nullcontext():
        assert run_dag(zelto_bulk.ended, calls=[], folder=str(tmp_path)).states == {"submit": "failed"}
    thread.join()
    sent = submits(emulator, None)
    assert len(sent) < 200
    assert {entry["status"] for entry in sent} == {201}
