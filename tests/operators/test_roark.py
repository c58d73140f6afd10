from __future__ import annotations

import json

import pytest

from airflow_provider_zelto.exceptions import InvalidMetricError
from airflow_provider_zelto.operators.roark import ListRoarkChatMetricsOperator
from tests.conftest import API_KEY
from tests.sources import CHAT

pytest_plugins = ["tests.source_fixtures"]

TEMPLATE = "{{ params.anything }}"


def list_metrics(chat_id=CHAT, **arguments):
    return ListRoarkChatMetricsOperator(task_id="list", chat_id=chat_id, **arguments)


@pytest.fixture
def chat(roark):
    chat = roark.add_chat(CHAT)
    roark.add_metric_value(chat, "tone", 0.5, participant_role="agent")
    roark.add_metric_value(chat, "tone", 0.25, participant_role="customer")
    roark.add_metric_value(chat, "audio", capture_status="DATA_MISSING")
    return chat


def test_the_xcom_is_the_vendors_json(roark, chat):
    listed = list_metrics(chat).execute({})
    (stored,) = [metric for metric in roark.chats()[0]["metrics"] if metric["slug"] == "tone"]
    assert listed == [stored]
    assert json.loads(json.dumps(listed)) == listed
    assert API_KEY not in json.dumps(listed)


def test_values_may_be_listed_flat(chat):
    rows = list_metrics(chat, flatten=True).execute({})
    assert [(row["slug"], row["participantRole"], row["value"]) for row in rows] == [
        ("tone", "agent", 0.5),
        ("tone", "customer", 0.25),
    ]


def test_rows_without_a_value_are_listed_on_request(chat):
    listed = list_metrics(chat, status="all").execute({})
    assert [metric["slug"] for metric in listed] == ["tone", "audio"]


def test_one_line_says_what_was_found(chat, logged):
    list_metrics(chat).execute({})
    lines = [line for line in logged() if chat in line.text]
    assert lines == [("INFO", f"Chat {chat} has 1 metrics in Roark.")]
    assert [line for line in logged() if API_KEY in line.text] == []


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"chat_id": "../x"}, ["chat_id"]),
        ({"flatten": "maybe"}, ["flatten"]),
        ({"status": "some"}, ["status"]),
        ({"chat_id": TEMPLATE, "status": "some", "flatten": None}, ["flatten", "status"]),
    ],
)
def test_a_literal_that_breaks_a_limit_is_refused_when_the_dag_is_parsed(arguments, fields):
    with pytest.raises(InvalidMetricError) as caught:
        list_metrics(**arguments)
    assert [error.field for error in caught.value.errors] == fields
