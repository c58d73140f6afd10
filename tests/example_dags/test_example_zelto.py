from __future__ import annotations

import pytest

from airflow_provider_zelto.triggers.zelto import CustomerMetricsTrigger
from example_dags.example_zelto import example_zelto

LABEL = "Compliance Check"


@pytest.fixture
def run(emulator, call, run_dag, mocker):
    """One run of the example, in which Zelto is a little slow to show the metric."""
    emulator.fault(status=404, method="GET", count=1)
    poked = mocker.spy(CustomerMetricsTrigger, "poke")
    finished = run_dag(example_zelto(), conversation_id=call)
    finished.pokes_while_deferred = poked.call_count
    return finished


def test_the_example_scores_submits_waits_lists_and_reports(emulator, call, run):
    assert run.states == dict.fromkeys(("score_call", "submit", "wait", "list", "report"), "success")
    assert run.state == "success"
    (stored,) = emulator.metrics(call)
    assert (stored["label"], stored["verdict"], stored["score"]) == (LABEL, "pass", 75)
    assert run.xcom("submit") == stored
    assert run.xcom("wait") == run.xcom("list") == [stored]
    assert run.xcom("report") == {LABEL: "pass"}
    assert [(entry["method"], entry["status"]) for entry in emulator.journal()] == [
        ("POST", 201),
        ("GET", 404),
        ("GET", 200),
        ("GET", 200),
    ]
    assert run.pokes_while_deferred == 1


def test_the_example_waits_for_its_own_metric_and_not_for_an_older_one(emulator, call, run_dag):
    emulator.add_metric(call, LABEL, score=1)
    run = run_dag(example_zelto(), conversation_id=call)
    assert run.state == "success"
    assert [metric["score"] for metric in run.xcom("wait")] == [75]
