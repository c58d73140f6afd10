from __future__ import annotations

import pytest

from airflow_provider_zelto.triggers.coval import CovalConversationMetricsTrigger
from airflow_provider_zelto.triggers.roark import RoarkChatMetricsTrigger
from example_dags.example_coval_to_zelto import LATENCY, OUTCOME, SENTIMENT, example_coval_to_zelto
from example_dags.example_roark_to_zelto import example_roark_to_zelto
from tests.sources import CHAT

pytest_plugins = ["tests.source_fixtures"]


def evaluations(emulator, call):
    """Give what Zelto holds of a call: score and verdict by label."""
    return {
        metric["label"]: (metric.get("score"), metric.get("verdict")) for metric in emulator.metrics(call)
    }


@pytest.fixture
def chat(roark):
    """A chat whose last metric is only computed while the example waits."""
    chat = roark.add_chat(CHAT)
    roark.add_metric_value(chat, "customer_satisfaction", 4, value_reasoning="Thanked at the end")
    roark.add_metric_value(chat, "tone", "friendly", participant_role="agent")
    roark.add_metric_value(chat, "tone", "rude", participant_role="customer")
    roark.add_metric_value(chat, "issue_resolved", capture_status="ERROR", error_message="judge timed out")
    roark.add_metric_value(chat, "unused", 1)
    return chat


def test_the_roark_example_waits_lists_carries_and_reports(emulator, roark, chat, call, run_dag, mocker):
    poked = mocker.spy(RoarkChatMetricsTrigger, "poke")
    emulator.fault(service="roark", status=404, count=1)
    roark.add_metric_value(chat, "interruptions", 13)
    run = run_dag(example_roark_to_zelto(), chat_id=chat, conversation_id=call)
    assert run.states == dict.fromkeys(("wait", "list", "carry", "report"), "success")
    assert poked.call_count == 1
    assert [metric["slug"] for metric in run.xcom("wait")] == [
        "customer_satisfaction",
        "tone",
        "issue_resolved",
        "interruptions",
    ]
    assert len(run.xcom("list")) == 6
    assert run.xcom("carry") == {
        "submitted": emulator.metrics(call),
        "skipped": [{"source": "issue_resolved", "label": "Issue resolved", "reason": "judge timed out"}],
    }
    assert evaluations(emulator, call) == {
        "Customer satisfaction": (75, "pass"),
        "Lets others finish": (0, None),
        "Tone": (None, "fail"),
    }
    assert run.xcom("report") == {
        "Customer satisfaction": "pass 75",
        "Lets others finish": "0",
        "Tone": "fail",
        "Issue resolved": "skipped: judge timed out",
    }


def test_the_coval_example_waits_lists_carries_and_reports(emulator, coval, run_dag, mocker):
    poked = mocker.spy(CovalConversationMetricsTrigger, "poke")
    pairs = []
    for number in range(2):
        conversation = coval.add_conversation()
        coval.add_metric_output(conversation, 2.0 + number, metric_id=LATENCY)
        coval.add_metric_output(conversation, "positive", metric_id=SENTIMENT)
        if number:
            coval.add_metric_output(conversation, metric_id=OUTCOME, status="SKIPPED")
        else:
            coval.add_metric_output(
                conversation, "escalated", metric_id=OUTCOME, explanation="Asked for a manager"
            )
        pairs.append({"coval_conversation_id": conversation, "conversation_id": emulator.add_conversation()})
    emulator.fault(service="coval", status=404, count=1)
    run = run_dag(example_coval_to_zelto(), pairs=pairs)
    assert {*run.states.values()} == {"success"}
    assert poked.call_count == 1
    for number, rows in enumerate((3, 2)):
        assert len(run.xcom("wait", map_index=number)) == 3
        assert {row["status"] for row in run.xcom("list", map_index=number)} == {"COMPLETED"}
        assert len(run.xcom("list", map_index=number)) == rows
    carried = run.xcom("carry")
    assert (carried["submitted"], carried["skipped"], carried["rejected"]) == (5, 1, 0)
    first, second = (evaluations(emulator, pair["conversation_id"]) for pair in pairs)
    assert first == {"Latency": (75, None), "Sentiment": (None, "pass"), "Outcome": (None, "fail")}
    assert second == {"Latency": (50, None), "Sentiment": (None, "pass")}
    assert run.xcom("report") == "5 outputs: 5 metrics submitted, 1 skipped, 0 calls rejected"


def test_the_examples_may_be_run_again(emulator, roark, chat, call, run_dag):
    roark.add_metric_value(chat, "interruptions", 2)
    arguments = {"chat_id": chat, "conversation_id": call}
    first = run_dag(example_roark_to_zelto(), **arguments).xcom("carry")
    second = run_dag(example_roark_to_zelto(), **arguments).xcom("carry")
    assert [metric["id"] for metric in first["submitted"]] == [metric["id"] for metric in second["submitted"]]
    assert emulator.metrics(call) == second["submitted"]
