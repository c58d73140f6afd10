from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_zelto.emulator.clock import iso
from airflow_provider_zelto.emulator.coval_outputs import NewMetricOutput, new_ulid
from airflow_provider_zelto.emulator.coval_state import CovalState, NewConversation
from airflow_provider_zelto.emulator.settings import LiveSettings, Settings
from tests.emulator.zelto_client import KEY

METRIC = "29BlkepvvX19ebbLDB0y6Q"
UNKNOWN = "gk3jK9mPq2xRt5vW8yZaBc"


@pytest.fixture
def call(emulator):
    return emulator.coval.add_conversation()


def error_of(answer):
    [(name, error)] = answer.json().items()
    assert name == "error"
    assert error.keys() == {"code", "message", "details"}
    return error


def values(answer):
    assert answer.status_code == 200
    return [row.get("value") for row in answer.json()["metrics"]]


def test_an_output_is_a_row_without_its_metrics_name(coval, emulator, call):
    added = emulator.coval.add_metric_output(call, 2.35, metric_id=METRIC, metric_name="latency")
    answer = coval(call)
    assert answer.status_code == 200
    assert answer.json() == {
        "metrics": [
            {
                "metric_output_id": added["metric_output_id"],
                "metric_id": METRIC,
                "value": 2.35,
                "status": "COMPLETED",
            }
        ]
    }
    assert added["metric_id"] == METRIC
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", added["metric_output_id"])


def test_ids_that_are_made_have_the_vendors_form(emulator, call):
    assert re.fullmatch("[0-9A-Za-z]{22}", call)
    assert re.fullmatch("[0-9A-Za-z]{22}", emulator.coval.add_metric_output(call, 1)["metric_id"])
    assert call != emulator.coval.add_conversation()


def test_ids_of_outputs_sort_by_time():
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    ids = [new_ulid(noon + timedelta(milliseconds=step)) for step in range(50)]
    assert ids == sorted(set(ids))
    assert new_ulid(noon)[:10] == ids[0][:10]


def test_a_conversation_without_outputs_has_an_empty_list(coval, call):
    assert coval(call).json() == {"metrics": []}


@pytest.mark.parametrize("value", [0, 7, 0.5, -1.5, "", "resolved", [], ["billing", "delivery"]])
def test_a_value_is_kept_as_it_is(coval, emulator, call, value):
    emulator.coval.add_metric_output(call, value)
    [kept] = values(coval(call))
    assert kept == value
    assert kept.__class__ is value.__class__


@pytest.mark.parametrize("status", ["IN QUEUE", "IN PROGRESS", "COMPLETED", "SKIPPED", "FAILED", "CANCELLED"])
def test_a_row_can_have_each_status_and_no_value(coval, emulator, call, status):
    emulator.coval.add_metric_output(call, status=status, status_reason="no audio", explanation="none")
    [row] = coval(call).json()["metrics"]
    assert (row["status"], row["status_reason"], row["explanation"]) == (status, "no audio", "none")
    assert "value" not in row


def test_what_there_is_not_is_null_when_so_set(coval, emulator, call):
    emulator.settings(nulls="null")
    added = emulator.coval.add_metric_output(call, status="FAILED")
    assert coval(call).json() == {
        "metrics": [
            {
                "metric_output_id": added["metric_output_id"],
                "metric_id": added["metric_id"],
                "value": None,
                "status": "FAILED",
                "status_reason": None,
                "explanation": None,
            }
        ],
        "next_page_token": None,
    }


def test_an_output_gets_its_value_while_somebody_waits(coval, emulator, call, eventually):
    emulator.coval.add_metric_output(call, "positive", explanation="Thanked twice", ready_after=0.6)
    [row] = coval(call).json()["metrics"]
    assert row.keys() == {"metric_output_id", "metric_id", "status"}
    assert row["status"] == "IN PROGRESS"
    eventually(lambda: values(coval(call)) == ["positive"])
    [done] = coval(call).json()["metrics"]
    assert done == row | {"status": "COMPLETED", "value": "positive", "explanation": "Thanked twice"}


def test_outputs_arrive_in_waves(coval, emulator, call, eventually):
    emulator.coval.add_metric_output(call, 1, metric_name="text")
    audio = emulator.coval.add_metric_output(call, 2, metric_name="voice", after=0.6)
    [upcoming] = emulator.coval.conversations()[0]["upcoming"]
    assert upcoming == {
        "metric_id": audio["metric_id"],
        "metric_name": "voice",
        "appears_at": audio["appears_at"],
    }
    assert values(coval(call)) == [1]
    eventually(lambda: values(coval(call)) == [1, 2])
    assert emulator.coval.conversations()[0]["upcoming"] == []


def test_an_output_is_queued_computed_and_done_at_its_moments(clock):
    state = CovalState(LiveSettings(Settings()), now=clock)
    call = state.add_call(NewConversation())["id"]
    state.add_metric(call, NewMetricOutput(value=1, after=10, start_after=20, ready_after=30))
    times = (("create_time", 10), ("start_time", 20), ("end_time", 30))
    moments = {name: iso(clock.now + timedelta(seconds=seconds)) for name, seconds in times}
    seen = []
    for _ in range(4):
        described = state.call(call)
        seen += [
            (row["status"], row.get("value"), {name: row[name] for name in moments if name in row})
            for row in described["metrics"]
        ]
        assert len(described["metrics"]) + len(described["upcoming"]) == 1
        clock.now += timedelta(seconds=10)
    created, started, _ = moments.items()
    assert seen == [
        ("IN QUEUE", None, dict([created])),
        ("IN PROGRESS", None, dict([created, started])),
        ("COMPLETED", 1, moments),
    ]


@pytest.mark.parametrize(("status", "times"), [("IN QUEUE", 1), ("IN PROGRESS", 2), ("FAILED", 3)])
def test_an_output_that_is_never_computed_has_no_end(emulator, call, status, times):
    emulator.coval.add_metric_output(call, status=status)
    [row] = emulator.coval.conversations()[0]["metrics"]
    assert [name in row for name in ("create_time", "start_time", "end_time")].count(True) == times


def test_a_metric_is_known_by_its_id_or_by_its_name_in_every_conversation(emulator, call):
    add = emulator.coval.add_metric_output
    first = add(call, 1, metric_name="latency")["metric_id"]
    assert add(emulator.coval.add_conversation(), 2, metric_name="latency")["metric_id"] == first
    assert add(call, 3, metric_id=METRIC, metric_name="latency")["metric_id"] == METRIC
    add(call, 4, metric_id=METRIC, metric_name="renamed")
    names = {row["value"]: row["metric_name"] for row in emulator.coval.conversations()[0]["metrics"]}
    assert names == {1: "latency", 3: "renamed", 4: "renamed"}
    assert add(call, 5)["metric_id"] not in (first, METRIC)


@pytest.mark.parametrize(
    ("values", "given", "output_type"),
    [
        ([2], None, "float"),
        ([0.5], None, "float"),
        (["x"], None, "string"),
        ([["x"]], None, "set"),
        ([None, "x"], None, "string"),
        ([None], None, "float"),
        (["x", 1], None, "string"),
        ([1], "string", "string"),
    ],
)
def test_a_metrics_output_type_is_the_one_given_or_that_of_its_first_value(
    emulator, call, values, given, output_type
):
    for value in values:
        emulator.coval.add_metric_output(call, value, metric_name="a", output_type=given)
    rows = emulator.coval.conversations()[0]["metrics"]
    assert {row["output_type"] for row in rows} == {output_type}


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ("status=COMPLETED", ["latency", "tone of voice"]),
        ('status="COMPLETED"', ["latency", "tone of voice"]),
        ('status="IN PROGRESS"', ["topics"]),
        ("output_type=float", ["latency"]),
        ("metric_name=latency AND status=COMPLETED", ["latency"]),
        ('metric_name="tone of voice"  AND  output_type="string" AND status=COMPLETED', ["tone of voice"]),
        ("metric_name=latency AND status=FAILED", []),
        ("metric_name=LATENCY", []),
        ("status=IN", []),
    ],
)
def test_a_filter_lets_through_the_rows_for_which_all_of_it_holds(coval, emulator, call, filter, names):
    add = emulator.coval.add_metric_output
    ids = {
        add(call, 1.5, metric_name="latency")["metric_id"]: "latency",
        add(call, "warm", metric_name="tone of voice")["metric_id"]: "tone of voice",
        add(call, ["a"], metric_name="topics", ready_after=60)["metric_id"]: "topics",
    }
    answer = coval(call, filter=filter)
    assert [ids[row["metric_id"]] for row in answer.json()["metrics"]] == names


@pytest.mark.parametrize(
    "filter",
    [
        "",
        " ",
        "status",
        "status=",
        "=COMPLETED",
        "status = COMPLETED",
        "status=IN PROGRESS",
        "status=COMPLETED AND",
        "status=COMPLETED and metric_name=x",
        "status=COMPLETED OR status=FAILED",
        "status=COMPLETED metric_name=x",
        "status=COMPLETED ",
        'status="COMPLETED',
        'metric_name="a"b',
        "metric_id=x",
        "status!=COMPLETED",
    ],
)
def test_a_filter_that_cannot_be_read_is_an_invalid_argument(coval, call, filter):
    answer = coval(call, filter=filter)
    assert answer.status_code == 400
    error = error_of(answer)
    assert error["code"] == "INVALID_ARGUMENT"
    assert [detail["field"] for detail in error["details"]] == ["filter"]


def test_rows_are_sorted_as_asked_for(coval, emulator, call):
    for name, value in (("b", 1.5), ("a", 10), ("c", "text")):
        emulator.coval.add_metric_output(call, value, metric_name=name)
    assert values(coval(call)) == [10, 1.5, "text"]
    assert values(coval(call, order_by="create_time")) == [1.5, 10, "text"]
    assert values(coval(call, order_by="-value")) == [10, 1.5, "text"]
    assert values(coval(call, order_by="value")) == [1.5, 10, "text"]


def test_pages_lead_from_one_to_the_next(coval, emulator, call):
    for number in range(5):
        emulator.coval.add_metric_output(call, number, metric_name=f"metric {number}")
    pages = [coval(call, page_size=2)]
    while token := pages[-1].json().get("next_page_token"):
        pages.append(coval(call, page_size=2, page_token=token))
    assert [values(page) for page in pages] == [[0, 1], [2, 3], [4]]
    assert "next_page_token" not in coval(call, page_size=5).json()


def test_a_page_holds_fifty_rows_unless_told_otherwise(coval, emulator, call):
    for number in range(51):
        emulator.coval.add_metric_output(call, number)
    assert len(values(coval(call))) == 50
    assert len(values(coval(call, page_size=1000))) == 51


def test_a_page_after_the_end_is_empty(coval, emulator, call):
    for number in range(3):
        emulator.coval.add_metric_output(call, number)
    token = coval(call, page_size=2).json()["next_page_token"]
    assert coval(call, filter="status=FAILED", page_token=token).json() == {"metrics": []}


def test_pages_never_end_when_so_set(coval, emulator, call):
    emulator.settings(repeat_page_token=True)
    for number in range(3):
        emulator.coval.add_metric_output(call, number, metric_name=f"metric {number}")
    assert "next_page_token" not in coval(call).json()
    token = coval(call, page_size=2).json()["next_page_token"]
    for _ in range(3):
        page = coval(call, page_size=2, page_token=token)
        assert values(page) == [2]
        assert page.json()["next_page_token"] == token


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *[
            ({"page_size": size}, "page_size")
            for size in ("0", "1001", "-1", "x", "", "2.0", "1_0", "\u0661", "9" * 5000)
        ],
        *[
            ({"page_token": token}, "page_token")
            for token in (
                "",
                "x",
                "é",
                "eyJvZmZzZXQiOiAxMDB9x",
                "eyJv!ZmZzZXQiOiAxMDB9",
                "eyJvZmZzZXQiOiAwfQ==",
                "eyJvZmZzZXQiOiB0cnVlfQ==",
                "W10=",
                "eyJwYWdlIjogMn0=",
                "/w==",
            )
        ],
        *[({"order_by": order}, "order_by") for order in ("", "name", "--value")],
    ],
)
def test_a_wrong_parameter_is_an_invalid_argument(coval, call, query, field):
    answer = coval(call, **query)
    assert answer.status_code == 400
    error = error_of(answer)
    assert error["code"] == "INVALID_ARGUMENT"
    [detail] = error["details"]
    assert detail.keys() == {"field", "description"}
    assert detail["field"] == field
    assert field in error["message"]


def test_all_wrong_parameters_are_named_at_once(coval, call):
    answer = coval(call, filter="x", page_size=0, page_token="x", order_by="x")
    assert {detail["field"] for detail in error_of(answer)["details"]} == {
        "filter",
        "page_size",
        "page_token",
        "order_by",
    }


def test_an_unknown_parameter_is_ignored(coval, call):
    assert coval(call, view="FULL", offset="x").status_code == 200


@pytest.mark.parametrize("conversation", ["x", "y" * 21, "y" * 27, "é" * 21])
def test_an_id_of_the_wrong_length_is_an_invalid_argument(coval, conversation):
    answer = coval(conversation)
    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["details"][0]["field"]) == ("INVALID_ARGUMENT", "conversation_id")


@pytest.mark.parametrize("conversation", [UNKNOWN, "0" * 26, "é" * 22, "a%20" * 11])
def test_an_unknown_conversation_is_404(coval, conversation):
    answer = coval(conversation)
    assert answer.status_code == 404
    assert error_of(answer)["code"] == "NOT_FOUND"
    assert error_of(answer)["details"] == []


def test_a_conversation_that_is_still_processed_is_404_until_it_is_there(coval, emulator, eventually):
    call = emulator.coval.add_conversation(UNKNOWN, available_after=0.6)
    assert call == UNKNOWN
    assert coval(call).status_code == 404
    eventually(lambda: coval(call).status_code == 200)


def test_every_id_of_the_right_form_is_a_conversation_when_so_set(coval, emulator):
    emulator.settings(any_conversation=True)
    assert coval(UNKNOWN).json() == {"metrics": []}
    emulator.coval.add_metric_output(UNKNOWN, 1)
    assert values(coval(UNKNOWN)) == [1]
    assert coval("x").status_code == 400
    assert coval("-" * 22).status_code == 404


@pytest.mark.parametrize("name", ["x-api-key", "X-API-Key", "X-Api-Key"])
def test_the_key_travels_in_a_header_of_any_case(web, call, name):
    path = f"/coval/v1/conversations/{call}/metrics"
    assert web.get(path, headers={name: KEY}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": "wrong"}, {"x-api-key": f"Bearer {KEY}"}, {"Authorization": f"Bearer {KEY}"}],
)
def test_a_missing_or_wrong_key_is_401(web, call, headers):
    answer = web.get(f"/coval/v1/conversations/{call}/metrics", headers=headers)
    assert answer.status_code == 401
    assert error_of(answer)["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "HEAD"])
def test_an_undocumented_method_is_405(web, call, method):
    answer = web.request(method, f"/coval/v1/conversations/{call}/metrics", headers={"x-api-key": KEY})
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize("path", ["/v1/conversations", "/v1/conversations//metrics", "/v1/metrics", "/"])
def test_an_unknown_path_is_404(web, path):
    answer = web.get(f"/coval{path}", headers={"x-api-key": KEY})
    assert answer.status_code == 404
    assert path in error_of(answer)["message"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "INVALID_ARGUMENT"),
        (429, "TOO_MANY_REQUESTS"),
        (500, "INTERNAL_ERROR"),
        (503, "SERVICE_UNAVAILABLE"),
        (599, "UNKNOWN"),
    ],
)
def test_a_fault_is_answered_in_the_same_form(coval, emulator, call, status, code):
    emulator.fault(service="coval", status=status)
    answer = coval(call)
    assert answer.status_code == status
    assert error_of(answer)["code"] == code


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ({"value": True}, "value"),
        ({"value": float("inf")}, "value"),
        ({"value": [1]}, "value"),
        ({"value": 1, "status": "FAILED"}, "no value"),
        ({"status": "IN_PROGRESS"}, "status"),
        ({"metric_id": "x"}, "22 to 26"),
        ({"metric_id": "-" * 22}, "22 to 26"),
        ({"metric_name": ""}, "metric_name"),
        ({"output_type": "bool"}, "output_type"),
        ({"after": -1}, "after"),
        ({"after": 2, "ready_after": 1}, "must not fall"),
        ({"start_after": 2, "ready_after": 1}, "must not fall"),
        ({"after": 2, "start_after": 1}, "must not fall"),
    ],
)
def test_an_output_that_makes_no_sense_is_refused_with_the_reason(emulator, call, output, says):
    with pytest.raises(ValueError, match=says):
        emulator.coval.add_metric_output(call, **output)
    assert emulator.coval.conversations()[0]["metrics"] == []


def test_wrong_conversations_are_value_errors_and_unknown_ones_lookup_errors(emulator, call):
    for wrong in (
        lambda: emulator.coval.add_conversation("x"),
        lambda: emulator.coval.add_conversation("x" * 27),
        lambda: emulator.coval.add_conversation(call),
        lambda: emulator.coval.add_conversation(available_after=-1),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - the messages have tests of their own
            wrong()
    with pytest.raises(LookupError, match=UNKNOWN):
        emulator.coval.add_metric_output(UNKNOWN, 1)
