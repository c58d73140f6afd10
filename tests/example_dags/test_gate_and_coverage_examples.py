from __future__ import annotations

import json

import pytest

from airflow_provider_zelto.triggers.zelto import CustomerMetricsCoverageTrigger
from example_dags.example_coverage_wait import example_coverage_wait
from example_dags.example_quality_gate import example_quality_gate

LABEL = "Compliance Check"


@pytest.fixture
def calls(emulator):
    return [emulator.add_conversation() for _ in range(4)]


def judged(emulator, calls, *scores):
    for call, score in zip(calls, scores, strict=True):
        emulator.add_metric(call, LABEL, verdict="pass" if score >= 70 else "fail", score=score)


def test_good_calls_pass_both_gates(emulator, calls, run_dag):
    judged(emulator, calls, 95, 96, 97, 100)
    run = run_dag(example_quality_gate(), conversation_ids=calls)
    assert run.state == "success"
    assert run.xcom("publish") == "published"
    assert run.xcom("report") == "4 metrics; missed: nothing"
    assert run.xcom("send_praise") == "4 calls out of 4 were excellent"


def test_middling_calls_are_published_without_praise(emulator, calls, run_dag):
    judged(emulator, calls, 70, 80, 90, 100)
    run = run_dag(example_quality_gate(), conversation_ids=calls)
    assert run.state == "success"
    assert run.states["publish"] == "success"
    assert (run.states["praise"], run.states["send_praise"]) == ("skipped", "skipped")
    assert run.xcom("praise")["worst_calls"][0] == {
        "conversation_id": calls[0],
        "failed": [],
        "lowest_score": 70,
    }


def test_bad_calls_are_not_published_and_the_report_says_why(emulator, calls, run_dag):
    judged(emulator, calls, 10, 80, 90, 100)
    run = run_dag(example_quality_gate(), conversation_ids=calls)
    assert (run.states["gate"], run.states["publish"]) == ("failed", "upstream_failed")
    assert run.tasks["gate", -1].try_number == 1
    assert run.xcom("report") == "4 metrics; missed: min_pass_rate"


def test_calls_without_metrics_are_not_published(emulator, calls, run_dag):
    judged(emulator, calls[:3], 80, 90, 100)
    run = run_dag(example_quality_gate(), conversation_ids=calls)
    assert (run.states["gate"], run.states["publish"]) == ("failed", "upstream_failed")
    assert run.xcom("report") == "3 metrics; missed: min_coverage"


def test_nearly_all_calls_are_waited_for_in_the_triggerer(emulator, calls, run_dag, tmp_path, mocker):
    for call in calls[:3]:
        emulator.add_metric(call, LABEL, score=80)
        emulator.add_metric(call, "CSAT", score=5)
    emulator.fault(status=404, method="GET", path=calls[0], count=1)
    poked = mocker.spy(CustomerMetricsCoverageTrigger, "poke")
    run = run_dag(example_coverage_wait(), folder=f"file://{tmp_path}", conversation_ids=calls)
    assert run.state == "success"
    assert poked.call_count == 1
    waited = run.xcom("evaluated")
    assert (waited["calls"], waited["covered"], waited["missing"]) == (4, 3, calls[3:])
    assert run.xcom("report") == f"3 of 4 calls, not {calls[3]}: 6 metrics"
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {line["conversationId"] for line in lines} == set(calls[:3])
