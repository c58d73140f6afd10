"""The example of the documentation: how a DAG author tests with the emulator."""

from __future__ import annotations

# [START fixtures]
import pytest

from airflow_provider_zelto.emulator import Emulator


@pytest.fixture(scope="session")
def zelto_server():
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def zelto(zelto_server, monkeypatch):
    zelto_server.reset()
    monkeypatch.setenv("AIRFLOW_CONN_ZELTO_DEFAULT", zelto_server.connection_json())
    return zelto_server


# [END fixtures]


# [START submit]
def test_the_score_arrives_at_zelto(zelto):
    from airflow_provider_zelto.operators.zelto import SubmitCustomerMetricOperator

    call = zelto.add_conversation()
    submit = SubmitCustomerMetricOperator(
        task_id="submit", conversation_id=call, label="Compliance Check", score=92
    )
    submit.execute({})

    [metric] = zelto.metrics(call)
    assert metric["score"] == 92


# [END submit]


# [START fault]
def test_an_answer_lost_on_the_way_makes_no_second_metric(zelto):
    from airflow_provider_zelto.hooks.zelto import ZeltoHook

    call = zelto.add_conversation()
    zelto.fault(action="reset", when="after", method="POST", count=1)
    ZeltoHook().submit_customer_metric(call, label="Compliance Check", verdict="pass")

    assert [entry["status"] for entry in zelto.journal(method="POST")] == [None, 201]
    assert len(zelto.metrics(call)) == 1


# [END fault]


# [START wait]
def test_the_wait_ends_when_somebody_else_submits(zelto):
    from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor

    call = zelto.add_conversation(available_after=0.3)
    zelto.add_metric(call, "Audio quality", score=80, after=0.6)
    wait = CustomerMetricsSensor(
        task_id="wait", conversation_id=call, labels=["Audio quality"], poke_interval=0.1, timeout=10
    )
    assert not wait.poke({})
    wait.execute({})


# [END wait]


# [START sources]
def test_the_wait_ends_when_roark_and_coval_are_done(zelto, monkeypatch):
    from airflow_provider_zelto.sensors.coval import CovalConversationMetricsSensor
    from airflow_provider_zelto.sensors.roark import RoarkChatMetricsSensor

    for service in ("roark", "coval"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{service.upper()}_DEFAULT", zelto.connection_json(service))

    chat = zelto.roark.add_chat()
    zelto.roark.add_metric_value(chat, "customer_satisfaction", 4, value_reasoning="Thanked twice", after=0.3)
    RoarkChatMetricsSensor(
        task_id="wait_for_roark", chat_id=chat, slugs=["customer_satisfaction"], poke_interval=0.1, timeout=10
    ).execute({})

    conversation = zelto.coval.add_conversation()
    latency = zelto.coval.add_metric_output(conversation, 2.35, metric_name="latency", ready_after=0.3)
    CovalConversationMetricsSensor(
        task_id="wait_for_coval",
        conversation_id=conversation,
        metric_ids=[latency["metric_id"]],
        poke_interval=0.1,
        timeout=10,
    ).execute({})


# [END sources]
