from __future__ import annotations

import json

import pytest

from airflow_provider_zelto.exceptions import InvalidMetricError
from airflow_provider_zelto.hooks.coval import coval_filter
from airflow_provider_zelto.operators.coval import ListCovalConversationMetricsOperator
from tests.conftest import API_KEY
from tests.sources import CONVERSATION

pytest_plugins = ["tests.source_fixtures"]

TEMPLATE = "{{ params.anything }}"


def list_metrics(conversation_id=CONVERSATION, **arguments):
    return ListCovalConversationMetricsOperator(task_id="list", conversation_id=conversation_id, **arguments)


@pytest.fixture
def conversation(coval):
    conversation = coval.add_conversation(CONVERSATION)
    for name, value in {"first reply": 2.5, "mood": "good", "topics": ["billing"]}.items():
        coval.add_metric_output(conversation, value, metric_name=name)
    coval.add_metric_output(conversation, metric_name="audio", status="SKIPPED")
    return conversation


def values(rows):
    return [row.get("value") for row in rows]


@pytest.mark.parametrize("page_size", [1000, 1])
def test_the_xcom_is_the_vendors_json_from_all_pages(emulator, conversation, page_size):
    listed = list_metrics(conversation, page_size=page_size).execute({})
    assert values(listed) == [None, 2.5, "good", ["billing"]]
    assert {row["status"] for row in listed} == {"SKIPPED", "COMPLETED"}
    assert json.loads(json.dumps(listed)) == listed
    assert API_KEY not in json.dumps(listed)
    assert len(emulator.journal()) == (4 if page_size == 1 else 1)


@pytest.mark.parametrize("page_size", [1000, 1])
def test_a_filter_and_an_order_are_handed_on(conversation, page_size):
    filter = coval_filter(status="COMPLETED")
    listed = list_metrics(conversation, filter=filter, order_by="-metric_name", page_size=page_size).execute(
        {}
    )
    assert values(listed) == [["billing"], "good", 2.5]
    named = list_metrics(conversation, filter='metric_name="first reply"').execute({})
    assert values(named) == [2.5]


def test_one_line_says_what_was_found(conversation, logged):
    list_metrics(conversation).execute({})
    lines = [line for line in logged() if conversation in line.text]
    assert lines == [("INFO", f"Conversation {conversation} has 4 metric outputs in Coval.")]
    assert [line for line in logged() if API_KEY in line.text] == []


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"conversation_id": "x"}, ["conversation_id"]),
        ({"filter": "status = COMPLETED"}, ["filter"]),
        ({"page_size": 1001}, ["page_size"]),
        ({"order_by": "status"}, ["order_by"]),
        (
            {"conversation_id": TEMPLATE, "filter": "x", "page_size": 0, "order_by": "x"},
            ["filter", "page_size", "order_by"],
        ),
    ],
)
def test_a_literal_that_breaks_a_limit_is_refused_when_the_dag_is_parsed(arguments, fields):
    with pytest.raises(InvalidMetricError) as caught:
        list_metrics(**arguments)
    assert [error.field for error in caught.value.errors] == fields
