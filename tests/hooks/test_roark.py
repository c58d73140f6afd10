from __future__ import annotations

import asyncio
import inspect
import json

import pytest

from airflow_provider_zelto.exceptions import (
    APIResponseValidationError,
    BadRequestError,
    InvalidMetricError,
)
from airflow_provider_zelto.hooks.roark import RoarkHook, list_request
from tests.conftest import API_KEY
from tests.raw_server import RawServer, http_answer
from tests.sources import CHAT, LocalRoark

pytest_plugins = ["tests.source_fixtures"]


@pytest.fixture
def ask(list_metrics):
    return lambda *args, **kwargs: list_metrics(LocalRoark, *args, **kwargs)


@pytest.fixture
def chat(roark):
    return roark.add_chat(CHAT)


def test_metrics_are_grouped_by_their_definition(ask, roark, chat):
    roark.add_metric_value(
        chat, "csat", 4, value_reasoning="Friendly", unit={"name": "points", "symbol": "pt"}
    )
    roark.add_metric_value(chat, "resolved", True)
    csat, resolved = ask(chat)
    assert (csat["slug"], csat["unit"]) == ("csat", {"name": "points", "symbol": "pt"})
    assert {"metricDefinitionId", "metricId", "name", "description", "values"} <= csat.keys()
    (value,) = csat["values"]
    assert (value["value"], value["valueReasoning"], value["confidence"]) == (4, "Friendly", 1)
    assert [value["value"] for value in resolved["values"]] == [True]


def test_one_metric_may_have_several_values(ask, roark, chat):
    for role, value in (("agent", 0.5), ("customer", 0.25)):
        roark.add_metric_value(chat, "tone", value, participant_role=role)
    segment = {"text": "Hello", "startOffsetMs": 0, "endOffsetMs": 900}
    roark.add_metric_value(chat, "tone", "calm", segment=segment)
    (tone,) = ask(chat)
    assert [(value["value"], value.get("participantRole")) for value in tone["values"]] == [
        (0.5, "agent"),
        (0.25, "customer"),
        ("calm", None),
    ]
    assert tone["values"][2]["segment"]["text"] == "Hello"


def test_a_flattened_list_has_a_row_for_each_value(ask, roark, chat):
    for value in (1, 2):
        roark.add_metric_value(chat, "csat", value)
    roark.add_metric_value(chat, "mood", "good")
    rows = ask(chat, flatten=True)
    assert [(row["slug"], row["value"]) for row in rows] == [("csat", 1), ("csat", 2), ("mood", "good")]
    assert not any("values" in row for row in rows)
    assert len(ask(chat, flatten=False)) == 2


@pytest.mark.parametrize("flatten", [False, True])
def test_rows_without_a_value_are_there_on_request(ask, roark, chat, flatten):
    roark.add_metric_value(chat, "csat", 4)
    roark.add_metric_value(chat, "tone", capture_status="ERROR", error_message="judge timed out")
    roark.add_metric_value(chat, "refund", capture_status="NOT_APPLICABLE")
    roark.add_metric_value(chat, "audio", capture_status="DATA_MISSING")
    assert {metric["slug"] for metric in ask(chat, flatten=flatten)} == {"csat"}
    listed = {metric["slug"]: metric for metric in ask(chat, flatten=flatten, status="all")}
    assert listed.keys() == {"csat", "tone", "refund", "audio"}
    tone = listed["tone"] if flatten else listed["tone"]["values"][0]
    assert (tone["captureStatus"], tone["errorMessage"]) == ("ERROR", "judge timed out")
    assert "value" not in tone


def test_what_is_asked_for_stands_in_the_query(ask, emulator, roark, chat):
    ask(chat)
    ask(chat, flatten=True, status="all")
    assert [(entry["path"], entry["query"]) for entry in emulator.journal()] == [
        (f"/roark/v1/chat/{chat}/metrics", "flatten=false&status=success"),
        (f"/roark/v1/chat/{chat}/metrics", "flatten=true&status=all"),
    ]


def test_a_metric_that_is_being_computed_is_not_in_the_list(ask, roark, chat):
    roark.add_metric_value(chat, "csat", 4, after=3600)
    assert ask(chat, status="all") == []


def test_new_fields_statuses_and_kinds_of_value_pass_through(ask, emulator, roark, chat):
    data = [
        {
            "slug": "csat",
            "values": [{"value": {"parts": [1, None]}, "captureStatus": "POSTPONED", "weight": 2}],
            "owner": "qa",
        }
    ]
    emulator.fault(body={"data": data, "next": None})
    assert ask(chat) == data


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"chat_id": "../x"}, "chat_id"),
        ({"chat_id": ""}, "chat_id"),
        ({"chat_id": None}, "chat_id"),
        ({"chat_id": 5}, "chat_id"),
        ({"chat_id": "x" * 65}, "chat_id"),
        ({"chat_id": CHAT, "flatten": "yes"}, "flatten"),
        ({"chat_id": CHAT, "flatten": 1}, "flatten"),
        ({"chat_id": CHAT, "flatten": None}, "flatten"),
        ({"chat_id": CHAT, "status": "SUCCESS"}, "status"),
        ({"chat_id": CHAT, "status": None}, "status"),
        ({"chat_id": CHAT, "status": ["all"]}, "status"),
    ],
)
@pytest.mark.usefixtures("roark")
def test_bad_arguments_never_reach_the_network(ask, emulator, arguments, field):
    with pytest.raises(InvalidMetricError) as caught:
        ask(**arguments)
    assert [error.field for error in caught.value.errors] == [field]
    assert emulator.journal() == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "No", "message": "because."}, ": No: because."),
        ({"error": "No"}, ": No."),
        ({"message": "because", "details": {"a": 1}}, ': because {"a": 1}.'),
        ({}, "."),
        ("<h1>gateway</h1>", ": <h1>gateway</h1>."),
        ("[]", ": []."),
        ("", "."),
    ],
)
def test_an_error_says_what_its_body_says(emulator, roark, chat, body, words):
    emulator.fault(status=400, body=body)
    with pytest.raises(BadRequestError) as caught:
        RoarkHook().list_chat_metrics(chat)
    assert str(caught.value) == (
        f"Roark answered 400 Bad Request to GET /v1/chat/{chat}/metrics (chat {chat}){words}"
    )


@pytest.mark.parametrize(
    "body",
    ["<html>", '{"data": [', "null", {}, [], {"data": None}, {"data": {}}, {"data": [5]}, {"metrics": []}],
)
def test_an_answer_that_is_not_documented_is_told(ask, emulator, roark, chat, body):
    emulator.fault(body=body)
    with pytest.raises(APIResponseValidationError, match="not documented"):
        ask(chat)


def test_passing_failures_are_repeated(ask, emulator, roark, chat):
    roark.add_metric_value(chat, "csat", 4)
    emulator.fault(status=503, count=2)
    emulator.fault(action="reset", count=1)
    assert len(ask(chat)) == 1
    assert [entry["status"] for entry in emulator.journal()] == [503, 503, None, 200]


def test_the_key_goes_into_the_header_of_roark(ask, connect_source):
    with RawServer(lambda _: http_answer(b'{"data": []}')) as server:
        connect_source("roark", f"{server.url}/gateway")
        assert ask(CHAT) == []
    lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == f"GET /gateway/v1/chat/{CHAT}/metrics?flatten=false&status=success HTTP/1.1"
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    assert headers["authorization"] == f"bearer {API_KEY}"
    assert "x-api-key" not in headers


def test_the_method_has_a_twin_for_event_loops_with_the_same_arguments():
    assert inspect.iscoroutinefunction(RoarkHook.alist_chat_metrics)
    assert inspect.signature(RoarkHook.alist_chat_metrics) == inspect.signature(RoarkHook.list_chat_metrics)


def test_many_chats_may_be_asked_for_at_once(roark):
    chats = [roark.add_chat() for _ in range(30)]
    for number, chat in enumerate(chats):
        roark.add_metric_value(chat, "csat", number)

    async def all_of_them():
        async with RoarkHook() as hook:
            return await asyncio.gather(*map(hook.alist_chat_metrics, chats))

    listed = asyncio.run(all_of_them())
    assert [metrics[0]["values"][0]["value"] for metrics in listed] == list(range(30))


def test_a_request_is_made_without_asking():
    request = list_request(CHAT, flatten=True, status="all")
    assert (request.method, request.path) == ("GET", f"/v1/chat/{CHAT}/metrics")
    assert json.loads(json.dumps(request.params)) == {"flatten": "true", "status": "all"}
    assert request.body is None
