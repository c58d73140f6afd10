from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from airflow_provider_zelto.emulator.roark_state import NewChat, RoarkState
from airflow_provider_zelto.emulator.roark_values import NewMetricValue
from airflow_provider_zelto.emulator.settings import LiveSettings, Settings
from tests.emulator.zelto_client import KEY

POLICY = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
SEGMENT = {"id": "line-7", "text": "Where is my parcel?", "startOffsetMs": 1200, "endOffsetMs": 2950.5}


@pytest.fixture
def chat(emulator):
    return emulator.roark.add_chat()


def slugs(answer):
    return [metric["slug"] for metric in answer.json()["data"]]


def test_a_metric_is_a_definition_with_its_values(roark, emulator, chat):
    emulator.roark.add_metric_value(
        chat,
        "customer_satisfaction",
        4,
        value_reasoning="Thanked twice",
        confidence=0.75,
        participant_role="customer",
        policy_ids=[POLICY],
        segment=SEGMENT,
        name="Customer satisfaction",
        description="How content the customer is",
        type="SCALE",
        scope="PER_PARTICIPANT",
        unit={"name": "points", "symbol": "pt"},
    )
    answer = roark(chat)
    assert answer.status_code == 200
    [metric] = answer.json()["data"]
    [value] = metric.pop("values")
    assert UUID(metric.pop("metricDefinitionId"))
    assert metric == {
        "slug": "customer_satisfaction",
        "metricId": "customer_satisfaction",
        "name": "Customer satisfaction",
        "description": "How content the customer is",
        "type": "SCALE",
        "scope": "PER_PARTICIPANT",
        "unit": {"name": "points", "symbol": "pt"},
    }
    assert datetime.strptime(value.pop("computedAt"), "%Y-%m-%dT%H:%M:%S.%fZ")
    assert value == {
        "captureStatus": "SUCCESS",
        "context": "SEGMENT",
        "value": 4,
        "valueReasoning": "Thanked twice",
        "confidence": 0.75,
        "participantRole": "customer",
        "policyIds": [POLICY],
        "segment": SEGMENT,
    }


def test_a_chat_without_metrics_has_an_empty_list(roark, chat):
    assert roark(chat).json() == {"data": []}


@pytest.mark.parametrize(
    ("value", "type"),
    [
        (3, "NUMERIC"),
        (0, "NUMERIC"),
        (2.5, "NUMERIC"),
        (True, "BOOLEAN"),
        (False, "BOOLEAN"),
        ("billing", "TEXT"),
        ("", "TEXT"),
    ],
)
def test_a_value_is_kept_as_it_is_and_tells_the_type_of_its_metric(roark, emulator, chat, value, type):
    emulator.roark.add_metric_value(chat, "a_metric", value)
    [metric] = roark(chat).json()["data"]
    [entry] = metric["values"]
    assert entry["value"] == value
    assert entry["value"].__class__ is value.__class__
    assert (metric["type"], metric["scope"], metric["name"]) == (type, "GLOBAL", "A metric")
    assert (entry["context"], entry["confidence"]) == ("CALL", 1.0)


def test_a_value_across_segments_names_the_first_and_the_last(roark, emulator, chat):
    last = {**SEGMENT, "id": "line-9"}
    emulator.roark.add_metric_value(chat, "a", 1, from_segment=SEGMENT, to_segment=last)
    [entry] = roark(chat, flatten="true").json()["data"]
    assert (entry["context"], entry["fromSegment"], entry["toSegment"]) == ("SEGMENT_RANGE", SEGMENT, last)


def test_a_segment_without_an_id_gets_one(roark, emulator, chat):
    emulator.roark.add_metric_value(chat, "a", 1, segment={"text": "x", "startOffsetMs": 0, "endOffsetMs": 1})
    [entry] = roark(chat, flatten="true").json()["data"]
    assert UUID(entry["segment"]["id"])


def test_a_metric_has_as_many_values_as_were_computed(roark, emulator, chat):
    emulator.roark.add_metric_value(chat, "talk_time", 61, participant_role="agent")
    emulator.roark.add_metric_value(chat, "other", 1)
    emulator.roark.add_metric_value(chat, "talk_time", 39, participant_role="customer")
    first, second = roark(chat).json()["data"]
    assert (first["slug"], second["slug"]) == ("talk_time", "other")
    assert (first["scope"], second["scope"]) == ("PER_PARTICIPANT", "GLOBAL")
    assert [(entry["value"], entry["participantRole"]) for entry in first["values"]] == [
        (61, "agent"),
        (39, "customer"),
    ]


def test_flattened_each_value_stands_beside_the_fields_of_its_definition(roark, emulator, chat):
    for value in (1, 2):
        emulator.roark.add_metric_value(chat, "a", value, unit={"name": "seconds"})
    emulator.roark.add_metric_value(chat, "b", "x")
    grouped = roark(chat, flatten="false").json()["data"]
    assert grouped == roark(chat).json()["data"]
    expected = [
        {**{name: field for name, field in metric.items() if name != "values"}, **value}
        for metric in grouped
        for value in metric["values"]
    ]
    assert roark(chat, flatten="true").json()["data"] == expected
    assert [row["value"] for row in expected] == [1, 2, "x"]
    assert expected[0]["unit"] == {"name": "seconds", "symbol": None}


@pytest.mark.parametrize("status", ["NOT_APPLICABLE", "DATA_MISSING", "ERROR"])
@pytest.mark.parametrize("flatten", ["true", "false"])
def test_a_row_without_a_value_shows_only_when_all_are_asked_for(roark, emulator, chat, status, flatten):
    emulator.roark.add_metric_value(chat, "good", 1)
    error = "provider down" if status == "ERROR" else None
    emulator.roark.add_metric_value(chat, "bad", capture_status=status, error_message=error)
    assert slugs(roark(chat, flatten=flatten)) == ["good"]
    assert slugs(roark(chat, flatten=flatten, status="success")) == ["good"]
    everything = roark(chat, flatten=flatten, status="all")
    assert slugs(everything) == ["good", "bad"]
    bad = everything.json()["data"][1]
    row = bad if flatten == "true" else bad["values"][0]
    assert row["captureStatus"] == status
    assert row.get("errorMessage") == error
    assert not {"value", "confidence"} & row.keys()


def test_a_metric_with_one_value_among_its_rows_shows_that_one(roark, emulator, chat):
    emulator.roark.add_metric_value(chat, "a", capture_status="DATA_MISSING", participant_role="agent")
    emulator.roark.add_metric_value(chat, "a", 2, participant_role="customer")
    [metric] = roark(chat).json()["data"]
    assert [entry["value"] for entry in metric["values"]] == [2]
    [metric] = roark(chat, status="all").json()["data"]
    assert [entry.get("value") for entry in metric["values"]] == [None, 2]


def test_a_metric_that_is_still_computed_is_not_there(roark, emulator, chat, eventually):
    emulator.roark.add_metric_value(chat, "early", 1)
    emulator.roark.add_metric_value(chat, "late", 2, after=0.6)
    [late] = emulator.roark.chats()[0]["upcoming"]
    assert slugs(roark(chat, status="all")) == ["early"]
    eventually(lambda: slugs(roark(chat)) == ["early", "late"])
    [value] = roark(chat).json()["data"][1]["values"]
    assert late == {"slug": "late", "appears_at": value["computedAt"]}
    assert emulator.roark.chats()[0]["upcoming"] == []


def test_values_stand_in_the_order_in_which_they_are_computed(clock):
    state = RoarkState(LiveSettings(Settings()), now=clock)
    chat = state.add_call(NewChat())["id"]
    for value, after in ((3, 20), (1, 10), (2, 10), (0, 0)):
        state.add_metric(chat, NewMetricValue(slug="a", value=value, after=after))
    shown = []
    for _ in range(3):
        [metric] = state.metrics(chat)
        shown.append([entry["value"] for entry in metric["values"]])
        clock.now += timedelta(seconds=10)
    assert shown == [[0], [0, 1, 2], [0, 1, 2, 3]]


def test_a_metric_is_the_same_in_every_chat(roark, emulator, chat):
    other = emulator.roark.add_chat()
    emulator.roark.add_metric_value(chat, "a", 1, name="First name")
    emulator.roark.add_metric_value(other, "a", True, name="Second name")
    first, second = (
        {name: field for name, field in roark(each).json()["data"][0].items() if name != "values"}
        for each in (chat, other)
    )
    assert first == second
    assert (first["name"], first["type"]) == ("Second name", "NUMERIC")


def test_a_metric_without_any_value_yet_has_a_type_all_the_same(roark, emulator, chat):
    emulator.roark.add_metric_value(chat, "a", capture_status="DATA_MISSING")
    assert roark(chat, status="all").json()["data"][0]["type"] == "NUMERIC"
    emulator.roark.add_metric_value(chat, "a", "x")
    assert roark(chat).json()["data"][0]["type"] == "TEXT"


def test_a_chat_that_is_still_processed_is_404_until_it_is_there(roark, emulator, eventually):
    chat = emulator.roark.add_chat("chat_1-a", available_after=0.6)
    emulator.roark.add_metric_value(chat, "a", 1)
    assert roark(chat).status_code == 404
    eventually(lambda: roark(chat).status_code == 200)
    assert slugs(roark(chat)) == ["a"]


def test_every_id_of_the_right_form_is_a_chat_when_so_set(roark, emulator):
    emulator.settings(any_conversation=True)
    assert roark("any-chat").json() == {"data": []}
    assert emulator.roark.chats() == []
    emulator.roark.add_metric_value("any-chat", "a", 1)
    assert slugs(roark("any-chat")) == ["a"]
    assert roark("no%20chat").status_code == 404
    with pytest.raises(LookupError, match="no chat"):
        emulator.roark.add_metric_value("no chat", "a", 1)


@pytest.mark.parametrize("chat", ["00000000-0000-0000-0000-000000000000", "x", "%0A", "a%2Fb", "y" * 65])
def test_an_unknown_chat_is_404(roark, chat):
    answer = roark(chat)
    assert answer.status_code == 404
    assert answer.json().keys() == {"error", "message"}
    assert answer.json()["error"] == "Not found"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"flatten": "yes"}, "flatten"),
        ({"flatten": "True"}, "flatten"),
        ({"flatten": ""}, "flatten"),
        ({"status": "SUCCESS"}, "status"),
        ({"status": "error"}, "status"),
        ({"status": ""}, "status"),
    ],
)
def test_a_wrong_parameter_is_400_and_named(roark, chat, query, field):
    answer = roark(chat, **query)
    assert answer.status_code == 400
    assert answer.json().keys() == {"error", "message"}
    assert field in answer.json()["message"]


def test_an_unknown_parameter_is_ignored(roark, chat):
    assert roark(chat, limit="1").status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"x-api-key": KEY}])
def test_a_missing_or_wrong_key_is_401(web, chat, headers):
    answer = web.get(f"/roark/v1/chat/{chat}/metrics", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"] == "Unauthorized"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
def test_an_undocumented_method_is_405(web, chat, method):
    path = f"/roark/v1/chat/{chat}/metrics"
    answer = web.request(method, path, headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize("path", ["/v1/chat", "/v1/chat//metrics", "/v1/call/x/metrics", "/"])
def test_an_unknown_path_is_404(web, path):
    answer = web.get(f"/roark{path}", headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 404
    assert path in answer.json()["message"]


def test_a_fault_is_answered_in_the_same_form(roark, emulator, chat):
    emulator.fault(service="roark", status=503, count=1)
    answer = roark(chat)
    assert answer.status_code == 503
    assert answer.json() == {"error": "Service Unavailable", "message": "A fault of the emulator"}
    assert roark(chat).status_code == 200


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"value": None}, "A value is needed"),
        ({"value": float("nan")}, "finite"),
        ({"value": [1]}, "value"),
        ({"capture_status": "ERROR"}, "no value"),
        ({"value": None, "capture_status": "ERROR", "confidence": 1.0}, "no confidence"),
        ({"value": None, "capture_status": "PENDING"}, "capture_status"),
        ({"error_message": "x"}, "needs captureStatus ERROR"),
        ({"confidence": 1.1}, "confidence"),
        ({"participant_role": "AGENT"}, "participant_role"),
        ({"policy_ids": ["x"]}, "policy_ids"),
        ({"segment": {"text": "x"}}, "segment"),
        ({"segment": {**SEGMENT, "startOffsetMs": -1}}, "segment"),
        ({"from_segment": SEGMENT}, "together"),
        ({"segment": SEGMENT, "from_segment": SEGMENT, "to_segment": SEGMENT}, "not all three"),
        ({"type": "FLOAT"}, "type"),
        ({"scope": "CALL"}, "scope"),
        ({"unit": {"symbol": "s"}}, "unit"),
        ({"after": -1}, "after"),
        ({"slug": ""}, "slug"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_the_reason(emulator, chat, value, says):
    with pytest.raises(ValueError, match=says):
        emulator.roark.add_metric_value(chat, **{"slug": "a", "value": 1} | value)
    assert emulator.roark.chats()[0]["metrics"] == []


def test_wrong_chats_are_value_errors_and_unknown_ones_lookup_errors(emulator, chat):
    for wrong in (
        lambda: emulator.roark.add_chat("a b"),
        lambda: emulator.roark.add_chat("x" * 65),
        lambda: emulator.roark.add_chat(""),
        lambda: emulator.roark.add_chat(chat),
        lambda: emulator.roark.add_chat(available_after=-1),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - the messages have tests of their own
            wrong()
    unknown = str(uuid4())
    with pytest.raises(LookupError, match=unknown):
        emulator.roark.add_metric_value(unknown, "a", 1)
