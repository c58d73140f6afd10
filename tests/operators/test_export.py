from __future__ import annotations

import json

import pytest

from airflow_provider_zelto.exceptions import (
    AuthenticationError,
    InvalidMetricError,
    PermissionDeniedError,
    TooManyRejectsError,
)
from airflow_provider_zelto.operators.zelto import ExportCustomerMetricsOperator
from tests.conftest import API_KEY
from tests.object_store import memory_store

NOWHERE = "00000000-0000-4000-8000-000000000000"


def export(conversation_ids, path, **options):
    return ExportCustomerMetricsOperator(
        task_id="export", conversation_ids=conversation_ids, path=str(path), **options
    )


@pytest.fixture
def calls(emulator):
    made = [emulator.add_conversation() for _ in range(10)]
    for number, call in enumerate(made):
        emulator.add_metric(call, "Tone", score=number)
        emulator.add_metric(call, "Pace", verdict="pass")
    return made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def exported(path):
    return [
        (line["conversationId"], line["label"]) for line in map(json.loads, path.read_text().splitlines())
    ]


def test_the_metrics_of_a_list_of_calls_are_written(calls, path):
    summary = export(calls, path).execute({})
    assert exported(path) == [(call, label) for call in calls for label in ("Pace", "Tone")]
    assert list(summary) == [
        *("path", "calls", "metrics", "rejected", "first_rejected", "seconds", "rejects_path"),
    ]
    assert (summary["path"], summary["calls"], summary["metrics"]) == (str(path), 10, 20)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_calls_may_be_in_a_file_one_a_line(calls, path, tmp_path, scheme):
    ids = tmp_path / "calls.txt"
    ids.write_text("\ufeff" + "\r\n".join(calls[:4]) + "\r\n\r\n", encoding="utf-8")
    summary = export(f"{scheme}{ids}", path).execute({})
    assert (summary["calls"], summary["rejected"]) == (4, 0)
    assert [call for call, label in exported(path) if label == "Tone"] == calls[:4]


def test_an_object_store_is_a_place_too(calls):
    with memory_store() as store:
        store.pipe_file("bucket/calls.txt", "\n".join(calls).encode())
        export("memory://bucket/calls.txt", "memory://bucket/metrics.jsonl").execute({})
        lines = store.cat_file("bucket/metrics.jsonl").splitlines()
    assert [json.loads(line)["conversationId"] for line in lines[::2]] == calls


def test_labels_narrow_an_export(calls, path):
    summary = export(calls, path, labels=["Tone", "None such"]).execute({})
    assert exported(path) == [(call, "Tone") for call in calls]
    assert summary["metrics"] == 10


def test_calls_that_are_not_there_do_not_fail_the_task_unless_wanted(calls, path, tmp_path):
    rejects = tmp_path / "rejects.jsonl"
    ids = [calls[0], NOWHERE, "no id", calls[1]]
    summary = export(ids, path, rejects_path=str(rejects)).execute({})
    assert (summary["calls"], summary["rejected"], summary["rejects_path"]) == (2, 2, str(rejects))
    assert sorted(summary["first_rejected"]) == [NOWHERE, "no id"]
    found = {line["row_number"]: line["row"] for line in map(json.loads, rejects.read_text().splitlines())}
    assert found == {2: NOWHERE, 3: "no id"}
    path.unlink()
    with pytest.raises(TooManyRejectsError, match="2 rows were rejected and max_rejects is 1"):
        export(ids, path, max_rejects=1).execute({})
    assert not path.exists()


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)])
def test_a_refused_key_stops_at_once_and_leaves_the_old_file(emulator, calls, path, status, error):
    path.write_text("old")
    emulator.fault(status=status)
    with pytest.raises(error):
        export(calls * 100, path, concurrency=8).execute({})
    assert len(emulator.journal()) <= 8
    assert path.read_text() == "old"


def test_a_retry_begins_anew(emulator, calls, path, mocker):
    store = mocker.Mock()
    export(calls, path).execute({"task_state_store": store})
    assert store.mock_calls == []


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"path": ""}, ["path"]),
        ({"path": None}, ["path"]),
        ({"labels": []}, ["labels"]),
        ({"labels": "Tone"}, ["labels"]),
        ({"concurrency": 1000, "max_rejects": -1}, ["concurrency", "max_rejects"]),
    ],
)
def test_a_literal_argument_that_is_wrong_fails_when_the_dag_is_parsed(arguments, fields):
    with pytest.raises(InvalidMetricError) as caught:
        ExportCustomerMetricsOperator(
            task_id="export", **{"conversation_ids": [], "path": "/exports/metrics.jsonl", **arguments}
        )
    assert sorted(error.field for error in caught.value.errors) == sorted(fields)


def test_templated_arguments_are_left_until_the_task_runs():
    export("{{ params.calls }}", "{{ params.path }}", labels=["{{ params.label }}"])


@pytest.mark.parametrize("ids", [None, 5, {"a": 1}])
def test_ids_that_are_no_list_fail_without_a_retry(emulator, path, ids):
    operator = export([], path)
    operator.conversation_ids = ids  # what an XCom may turn out to be
    with pytest.raises(InvalidMetricError, match="conversation_ids: "):
        operator.execute({})
    assert not path.exists()


def test_the_log_says_how_it_ended_and_the_key_is_nowhere(emulator, calls, path, logged):
    emulator.fault(status=503, body={"error": f"{API_KEY} has to wait"}, share=0.2)
    export([*calls, NOWHERE], path).execute({})
    lines = [line.text for line in logged()]
    assert [
        line for line in lines if line.startswith("All rows are dealt with: 10 calls exported, 1 rejected, ")
    ]
    assert [line for line in [*lines, path.read_text()] if API_KEY in line] == []
