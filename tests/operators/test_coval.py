from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_zelto.exceptions import AuthenticationError, InvalidMetricError, NotFoundError
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


def test_an_operator_uses_the_connection_it_is_given(emulator, conversation, connect_source):
    connect_source("coval", f"{emulator.url}/coval", conn_id="refused", password="wrong-key")
    with pytest.raises(AuthenticationError):
        list_metrics(conversation, coval_conn_id="refused").execute({})


@pytest.mark.usefixtures("coval")
def test_a_conversation_that_coval_does_not_know_fails_the_task():
    with pytest.raises(NotFoundError):
        list_metrics().execute({})


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


def test_every_text_is_templated():
    operator = list_metrics("{{ a }}", filter="{{ b }}", order_by="{{ c }}", coval_conn_id="{{ d }}")
    operator.render_template_fields({letter: letter.upper() for letter in "abcd"})
    assert [getattr(operator, field) for field in operator.template_fields] == list("ABCD")


@pytest.mark.parametrize("field", ["conversation_id", "filter", "order_by"])
@pytest.mark.usefixtures("coval")
def test_a_template_that_renders_to_a_bad_value_is_refused_before_anything_is_sent(emulator, field):
    operator = list_metrics(**{field: TEMPLATE})
    operator.render_template_fields({"params": {"anything": "not / this"}})
    with pytest.raises(InvalidMetricError) as caught:
        operator.execute({})
    assert [error.field for error in caught.value.errors] == [field]
    assert emulator.journal() == []


def test_an_xcom_may_name_the_conversation():
    with DAG("any", schedule=None):

        @task
        def anything() -> dict[str, object]:
            return {}

        assert list_metrics(anything()["key"]).upstream_task_ids == {"anything"}
