from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from airflow_provider_zelto.exceptions import RateLimitError
from airflow_provider_zelto.operators.zelto import BulkSubmitCustomerMetricsOperator
from tests.docs.dags.submits import CALL, OTHER_CALL
from tests.docs.papers import dag_of_file
from tests.docs.snippets import copy_metrics, labels_of_calls, labels_so_far

SUBMITS = Path(__file__).parent / "dags" / "submits.py"
FIRST_THOUSAND = Path(__file__).parent / "dags" / "first_thousand.py"
SCORES = Path(__file__).parent / "scores.jsonl"


@pytest.fixture
def run_submits(emulator, run_dag, monkeypatch):
    def run(name):
        for call in (CALL, OTHER_CALL):
            emulator.add_conversation(call)
        return run_dag(dag_of_file(SUBMITS, name, monkeypatch))

    return run


def test_a_mapped_operator_submits_one_metric_for_each_set_of_arguments(run_submits, emulator):
    assert run_submits("mapped").state == "success"
    assert [(metric["score"], metric["verdict"]) for metric in emulator.metrics(CALL)] == [(92, "pass")]
    assert [(metric["score"], metric["verdict"]) for metric in emulator.metrics(OTHER_CALL)] == [(40, "fail")]


def test_one_value_of_what_was_stored_can_be_handed_on(run_submits, emulator):
    run = run_submits("one_value")
    assert run.state == "success"
    [metric] = emulator.metrics(CALL)
    assert run.xcom("note_down") == f"stored as {metric['id']}"


def test_native_rendering_keeps_lists_and_nothing(run_submits, emulator):
    assert run_submits("native").state == "success"
    [metric] = emulator.metrics(CALL)
    assert metric.get("note") is None


def test_metrics_are_carried_from_call_to_call(emulator):
    calls = [emulator.add_conversation() for _ in range(2)]
    emulator.add_metric(calls[0], "Compliance Check", score=75, verdict="pass", note="well done")
    emulator.add_metric(calls[0], "Audio quality", score=0)
    assert copy_metrics.function(*calls) == 2
    kept = ("label", "score", "verdict", "note")
    [before, after] = [
        [{name: metric.get(name) for name in kept} for metric in emulator.metrics(call)] for call in calls
    ]
    assert before == after


def test_calls_are_asked_for_side_by_side(emulator):
    calls = [emulator.add_conversation() for _ in range(3)]
    emulator.add_metric(calls[1], "Audio quality", score=80)
    assert asyncio.run(labels_of_calls(calls)) == [set(), {"Audio quality"}, set()]


def test_an_error_can_be_told_from_another(emulator):
    assert labels_so_far.function(OTHER_CALL) == []
    emulator.fault(status=429, retry_after=90)
    with pytest.raises(RateLimitError):
        labels_so_far.function(OTHER_CALL)


def test_the_first_thousand_rows_are_stored(emulator, run_dag, tmp_path, monkeypatch):
    emulator.settings(any_conversation=True)
    dag = dag_of_file(FIRST_THOUSAND, "first_thousand", monkeypatch)
    run = run_dag(dag, folder=tmp_path.as_uri())
    assert run.state == "success"
    summary = run.xcom("submit")
    assert (summary["submitted"], summary["rejected"]) == (1000, 0)
    assert (tmp_path / "rejects.jsonl").read_text() == ""


def test_a_thousand_rows_with_bad_scores_fail_as_the_quickstart_says(
    emulator, run_dag, tmp_path, monkeypatch
):
    file = tmp_path / "first_thousand.py"
    file.write_text(FIRST_THOUSAND.read_text().replace("number % 101", "number"))
    emulator.settings(any_conversation=True)
    run = run_dag(dag_of_file(file, "first_thousand", monkeypatch), folder=tmp_path.as_uri())
    assert run.states == {"write_scores": "success", "submit": "failed"}
    [reject, *_] = map(json.loads, (tmp_path / "rejects.jsonl").read_text().splitlines())
    assert reject["row"]["score"] == 101
    assert reject["reason"] == "score: 101 is not a number from 0 to 100"


def test_the_file_of_rows_that_is_shown_is_submitted_as_it_stands(emulator):
    for call in (CALL, OTHER_CALL):
        emulator.add_conversation(call)
    summary = BulkSubmitCustomerMetricsOperator(task_id="submit", metrics=SCORES.as_uri()).execute({})
    assert (summary["submitted"], summary["rejected"]) == (3, 0)
    assert {metric["label"] for metric in emulator.metrics(CALL)} == {"Compliance Check", "Empathy"}
