from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_zelto.exceptions import (
    APIResponseValidationError,
    BadRequestError,
    InvalidMetricError,
)
from airflow_provider_zelto.hooks.coval import CovalHook, Pages, coval_filter
from tests.conftest import API_KEY
from tests.raw_server import RawServer, http_answer
from tests.sources import CONVERSATION, LocalCoval

pytest_plugins = ["tests.source_fixtures"]

PATH = f"/v1/conversations/{CONVERSATION}/metrics"


@pytest.fixture
def ask(list_metrics):
    return lambda *args, **kwargs: list_metrics(LocalCoval, *args, **kwargs)


@pytest.fixture
def conversation(coval):
    return coval.add_conversation(CONVERSATION)


@pytest.fixture
def add(coval, conversation):
    """Add outputs: ``add(latency=2.5)``; each is a metric of that name."""

    def add_outputs(**values):
        return [
            coval.add_metric_output(conversation, value, metric_name=name)["metric_output_id"]
            for name, value in values.items()
        ]

    return add_outputs


def ids(rows):
    return [row["metric_output_id"] for row in rows]


def queries(emulator):
    return [
        {name: value for name, (value,) in parse_qs(entry["query"]).items()} for entry in emulator.journal()
    ]


def test_rows_are_given_as_coval_gives_them(ask, coval, conversation, add):
    outputs = add(latency=2.35, mood="positive", topics=["billing", "refund"])
    rows = ask(conversation)
    assert ids(rows) == outputs
    assert [row["value"] for row in rows] == [2.35, "positive", ["billing", "refund"]]
    assert {row["status"] for row in rows} == {"COMPLETED"}


@pytest.mark.parametrize("nulls", ["null", "absent"])
def test_what_a_row_lacks_may_be_null_or_absent(ask, emulator, coval, conversation, nulls):
    emulator.settings(nulls=nulls)
    for name, status in {"a": "SKIPPED", "b": "IN QUEUE"}.items():
        coval.add_metric_output(conversation, metric_name=name, status=status)
    rows = ask(conversation)
    assert [row["status"] for row in rows] == ["SKIPPED", "IN QUEUE"]
    assert [row.get("value", "nothing") for row in rows] == [None if nulls == "null" else "nothing"] * 2


def test_statuses_fields_and_kinds_of_value_that_are_new_pass_through(ask, emulator, conversation):
    row = {"metric_output_id": "o", "metric_id": "m", "status": "UNDER REVIEW", "value": {"a": [1]}, "new": 1}
    emulator.fault(body={"metrics": [row], "total": 1})
    assert ask(conversation) == [row]


@pytest.mark.parametrize(
    ("count", "page_size", "pages"), [(7, 3, 3), (6, 3, 2), (3, 3, 1), (0, 3, 1), (5, 1, 5)]
)
def test_all_pages_are_walked(ask, emulator, conversation, add, count, page_size, pages):
    outputs = add(**{f"m{number}": number for number in range(count)})
    assert ids(ask(conversation, page_size=page_size)) == outputs
    asked = queries(emulator)
    assert len(asked) == pages
    assert [query["page_size"] for query in asked] == [str(page_size)] * pages
    assert ["page_token" in query for query in asked] == [False] + [True] * (pages - 1)


def test_as_much_as_coval_allows_is_asked_for_at_once(ask, emulator, conversation, add):
    outputs = add(**{f"m{number:03}": number for number in range(60)})
    assert ids(ask(conversation)) == outputs
    assert queries(emulator) == [{"page_size": "1000"}]


def test_a_page_is_asked_for_when_its_first_row_is_wanted(emulator, conversation, add):
    outputs = add(a=1, b=2, c=3, d=4)
    with CovalHook() as hook:
        rows = hook.list_conversation_metrics(conversation, page_size=2)
        assert isinstance(rows, Iterator)
        for taken, (output, asked) in enumerate(zip(outputs, (1, 1, 2, 2), strict=True)):
            assert len(emulator.journal()) == (taken + 1) // 2
            assert next(rows)["metric_output_id"] == output
            assert len(emulator.journal()) == asked


def test_an_event_loop_asks_for_a_page_when_its_first_row_is_wanted(emulator, conversation, add):
    add(a=1, b=2, c=3)

    async def take_one():
        async with CovalHook() as hook:
            rows = hook.alist_conversation_metrics(conversation, page_size=1)
            assert isinstance(rows, AsyncIterator)
            assert emulator.journal() == []
            return await anext(rows)

    assert asyncio.run(take_one())["value"] == 1
    assert len(emulator.journal()) == 1


@pytest.mark.parametrize(
    ("tokens", "requests"), [(["a", "a"], 2), (["a", "b", "a"], 3), (["a", "b", "c", "b"], 4)]
)
def test_a_token_that_repeats_is_an_error_and_no_endless_loop(ask, emulator, conversation, tokens, requests):
    for token in tokens:
        emulator.fault(body={"metrics": [], "next_page_token": token}, count=1)
    with pytest.raises(APIResponseValidationError, match="the same page token twice") as caught:
        ask(conversation)
    assert (caught.value.service, caught.value.path) == ("Coval", PATH)
    assert [query.get("page_token") for query in queries(emulator)] == [None, *tokens[:-1]]
    assert len(emulator.journal()) == requests


def test_a_service_whose_pages_never_end_is_found_out(ask, emulator, conversation, add):
    add(a=1, b=2, c=3)
    emulator.settings(repeat_page_token=True)
    with pytest.raises(APIResponseValidationError, match="its pages would never end"):
        ask(conversation, page_size=1)
    assert len(emulator.journal()) == 2


@pytest.mark.parametrize("token", [None, ""])
def test_an_empty_token_is_the_end(ask, emulator, conversation, token):
    emulator.fault(body={"metrics": [], "next_page_token": token})
    assert ask(conversation) == []
    assert len(emulator.journal()) == 1


def test_an_empty_page_may_be_followed_by_another(ask, emulator, conversation, add):
    outputs = add(a=1)
    emulator.fault(body={"metrics": [], "next_page_token": "eyJvZmZzZXQiOiAxfQ=="}, count=1)
    emulator.fault(body={"metrics": [{"metric_output_id": outputs[0], "metric_id": "m", "status": "x"}]})
    assert ids(ask(conversation)) == outputs


def test_a_token_is_sent_back_as_it_came(ask, emulator, conversation):
    token = "a+b/c=&d e?é"
    emulator.fault(body={"metrics": [], "next_page_token": token}, count=1)
    emulator.fault(body={"metrics": []})
    ask(conversation)
    assert queries(emulator)[1]["page_token"] == token


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("status=COMPLETED", ["billing topic", "latency", "mood"]),
        ('metric_name="billing topic"', ["billing topic"]),
        ('metric_name="billing topic" AND status=COMPLETED', ["billing topic"]),
        ('status="IN PROGRESS"', ["slow"]),
        ("output_type=float", ["latency", "slow"]),
        ("metric_name=latency AND status=COMPLETED AND output_type=float", ["latency"]),
        ("metric_name=nothing", []),
    ],
)
def test_a_filter_narrows_the_list(ask, coval, conversation, filter, found):
    named = {}
    for name, value in {"mood": "good", "billing topic": "refund", "latency": 2.5}.items():
        named[coval.add_metric_output(conversation, value, metric_name=name)["metric_output_id"]] = name
    slow = coval.add_metric_output(conversation, 1, metric_name="slow", ready_after=3600)
    named[slow["metric_output_id"]] = "slow"
    assert [named[output] for output in ids(ask(conversation, filter=filter))] == found


@pytest.mark.parametrize(
    ("order_by", "order"),
    [
        (None, [1, 3, 2]),
        ("metric_name", [1, 3, 2]),
        ("-metric_name", [2, 3, 1]),
        ("value", [1, 2, 3]),
        ("-value", [3, 2, 1]),
        ("create_time", [3, 1, 2]),
        ("-create_time", [2, 1, 3]),
        ("start_time", [3, 1, 2]),
        ("end_time", [3, 1, 2]),
    ],
)
def test_rows_may_be_asked_for_in_an_order(ask, conversation, add, order_by, order):
    add(b=3, a=1, c=2)
    assert [row["value"] for row in ask(conversation, order_by=order_by)] == order


def test_filter_and_order_go_along_with_every_page(ask, emulator, conversation, add):
    add(a=1, b=2, c=3)
    rows = ask(conversation, filter="status=COMPLETED", order_by="-value", page_size=2)
    assert [row["value"] for row in rows] == [3, 2, 1]
    first, second = queries(emulator)
    assert first == {"filter": "status=COMPLETED", "order_by": "-value", "page_size": "2"}
    assert {name: value for name, value in second.items() if name != "page_token"} == first


@pytest.mark.parametrize("length", [22, 24, 26])
def test_an_id_has_22_to_26_characters(ask, coval, length):
    conversation = coval.add_conversation("x" * length)
    assert ask(conversation) == []


BAD_FILTERS = [
    "", " ", "status", "status=", "=COMPLETED", "state=COMPLETED", "status==COMPLETED ", "status = COMPLETED",
    "status=IN PROGRESS", 'status="IN PROGRESS', 'metric_name=a"b', "status=COMPLETED and output_type=float",
    "status=COMPLETED OR status=FAILED", "status=COMPLETED AND ", "status=COMPLETED\n",
    'metric_name="\ud800"', "metric_name=\ud800", 5, ["status=COMPLETED"],
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        *(({"conversation_id": bad}, "conversation_id") for bad in (None, "", "x" * 21, "x" * 27, "../" * 8)),
        *(({"filter": bad}, "filter") for bad in BAD_FILTERS),
        *(({"page_size": bad}, "page_size") for bad in (0, -1, 1001, "50", 2.0, True, None)),
        *(({"order_by": bad}, "order_by") for bad in ("", "name", "-", "--value", "value DESC", "VALUE", 5)),
    ],
)
@pytest.mark.usefixtures("coval")
def test_bad_arguments_are_refused_before_anything_is_sent(emulator, arguments, field):
    for method in ("list_conversation_metrics", "alist_conversation_metrics"):
        with pytest.raises(InvalidMetricError) as caught:
            # When the list is asked for, not only when its first row is wanted.
            getattr(CovalHook(), method)(**{"conversation_id": CONVERSATION, **arguments})
        assert [error.field for error in caught.value.errors] == [field]
    assert emulator.journal() == []


def test_all_bad_arguments_are_named_at_once():
    with pytest.raises(InvalidMetricError) as caught:
        CovalHook().list_conversation_metrics("x", filter="x", page_size=0, order_by="x")
    assert [error.field for error in caught.value.errors] == [
        "conversation_id",
        "filter",
        "page_size",
        "order_by",
    ]


@pytest.mark.parametrize(
    ("comparisons", "written"),
    [
        ({"status": "COMPLETED"}, "status=COMPLETED"),
        ({"status": "IN PROGRESS"}, 'status="IN PROGRESS"'),
        (
            {"metric_name": "first reply", "status": "COMPLETED"},
            'metric_name="first reply" AND status=COMPLETED',
        ),
        ({"output_type": "float"}, "output_type=float"),
        ({"metric_name": "a\tb"}, 'metric_name="a\tb"'),
        ({"metric_name": "a=b"}, "metric_name=a=b"),
    ],
)
def test_a_filter_is_written_with_quotes_where_a_value_needs_them(comparisons, written):
    assert coval_filter(**comparisons) == written


@pytest.mark.parametrize(
    ("comparisons", "fields"),
    [
        ({}, ["filter"]),
        ({"status": ""}, ["status"]),
        ({"metric_name": 'say "hi"'}, ["metric_name"]),
        ({"metric_name": None}, ["metric_name"]),
        ({"metric_name": 5}, ["metric_name"]),
        ({"name": "latency"}, ["name"]),
        ({"name": "latency", "status": ""}, ["name", "status"]),
    ],
)
def test_a_filter_that_cannot_be_written_is_refused(comparisons, fields):
    with pytest.raises(InvalidMetricError) as caught:
        coval_filter(**comparisons)
    assert [error.field for error in caught.value.errors] == fields


filter_values = st.text(st.characters(codec="utf-8", exclude_characters='"'), min_size=1, max_size=10)


@given(
    st.dictionaries(
        st.sampled_from(["metric_name", "status", "output_type"]), filter_values, min_size=1, max_size=3
    )
)
def test_every_filter_that_can_be_written_is_one_that_can_be_sent(comparisons):
    written = coval_filter(**comparisons)
    request = Pages(CONVERSATION, filter=written).next_request()
    assert request.params["filter"] == written
    shown = re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', written)
    if not any(value in ("AND",) or "=" in value for value in comparisons.values()):
        assert {name: quoted or plain for name, quoted, plain in shown} == comparisons


@given(st.lists(st.lists(st.text(max_size=3), max_size=3), max_size=8))
def test_pages_that_end_give_all_their_rows_in_their_order(pages):
    walk, taken, number = Pages(CONVERSATION), [], 0
    while walk.next_request() is not None and number < len(pages):
        more = {"next_page_token": f"t{number}"} if number < len(pages) - 1 else {}
        taken += walk.take({"metrics": pages[number], **more})
        number += 1
    assert taken == [row for page in pages for row in page]
    assert not pages or walk.next_request() is None


@pytest.mark.parametrize(
    ("body", "words", "details"),
    [
        ({"error": {"code": "BAD", "message": "because."}}, ": BAD: because.", None),
        (
            {"error": {"code": "BAD", "message": "because", "details": [{"field": "a"}]}},
            ': BAD: because [{"field": "a"}].',
            [{"field": "a"}],
        ),
        ({"error": "No"}, ': {"error":"No"}.', None),
        ("<h1>gateway</h1>", ": <h1>gateway</h1>.", None),
        ("[]", ": [].", None),
        ("", ".", None),
    ],
)
def test_an_error_says_what_its_body_says(emulator, conversation, body, words, details):
    emulator.fault(status=400, body=body)
    with pytest.raises(BadRequestError) as caught:
        list(CovalHook().list_conversation_metrics(conversation))
    assert str(caught.value) == (
        f"Coval answered 400 Bad Request to GET {PATH} (conversation {conversation}){words}"
    )
    assert caught.value.details == details


@pytest.mark.parametrize(
    "body",
    [
        *("<html>", '{"metrics": [', "null", {}, [], {"metrics": None}, {"metrics": [5]}, {"data": []}),
        {"metrics": [{"metric_id": "m", "status": "COMPLETED"}]},
        {"metrics": [{"metric_output_id": "o", "metric_id": "m", "status": None}]},
        {"metrics": [{"metric_output_id": 5, "metric_id": "m", "status": "COMPLETED"}]},
        {"metrics": [], "next_page_token": 5},
    ],
)
def test_an_answer_that_is_not_documented_is_told(ask, emulator, conversation, body):
    emulator.fault(body=body)
    with pytest.raises(APIResponseValidationError, match="not documented"):
        ask(conversation)


def test_an_answer_that_is_not_documented_may_be_a_later_page(ask, emulator, conversation, add):
    add(a=1, b=2)
    emulator.fault(body="<html>", every=2)
    with pytest.raises(APIResponseValidationError, match="it begins '<html>'"):
        ask(conversation, page_size=1)


def test_passing_failures_are_repeated_page_by_page(ask, emulator, conversation, add):
    outputs = add(a=1, b=2, c=3)
    emulator.fault(status=503, every=2)
    assert ids(ask(conversation, page_size=1)) == outputs
    assert [entry["status"] for entry in emulator.journal()] == [200, 503, 200, 503, 200]


def test_the_key_goes_into_the_header_of_coval_in_lower_case(ask, connect_source):
    with RawServer(lambda _: http_answer(b'{"metrics": []}')) as server:
        connect_source("coval", f"{server.url}/gateway")
        assert ask(CONVERSATION) == []
    lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == f"GET /gateway{PATH}?page_size=1000 HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    assert headers["x-api-key"] == API_KEY
    assert "authorization" not in {name.lower() for name in headers}


def test_the_method_has_a_twin_for_event_loops_with_the_same_arguments():
    def parameters(method):
        return inspect.signature(method).parameters

    assert parameters(CovalHook.alist_conversation_metrics) == parameters(CovalHook.list_conversation_metrics)


@pytest.mark.usefixtures("coval")
def test_a_gateway_that_knows_no_such_page_is_not_taken_for_coval(emulator):
    emulator.fault(status=404, body={"message": "Not Found"})
    works, message = CovalHook().test_connection()
    assert not works
    assert "accepted" not in message
