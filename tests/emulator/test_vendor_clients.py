"""The vendors' own Python clients against the emulator: what they read is what their services answer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from coval_sdk import CovalClient, paginate
from coval_sdk.exceptions import (
    ApiException,
    BadRequestException,
    NotFoundException,
    ServiceException,
    UnauthorizedException,
)
from roark_analytics import AuthenticationError, BadRequestError, InternalServerError, NotFoundError, Roark
from roark_analytics.types.call_list_metrics_response import CallListMetricsResponse, StandardMetricValue

from tests.emulator.zelto_client import KEY

UNKNOWN = "gk3jK9mPq2xRt5vW8yZaBc"


@pytest.fixture
def coval_client(emulator):
    def connect(key=KEY):
        base_url = f"{emulator.url}/coval/v1"
        return CovalClient(key, base_url=base_url, retries=False, strict_response_validation=True)

    return connect


@pytest.fixture
def list_metrics(coval_client):
    with coval_client() as client:
        yield client.conversations.list_conversation_metrics


@pytest.fixture
def roark_client(emulator):
    def connect(key=KEY):
        base_url = f"{emulator.url}/roark"
        return Roark(bearer_token=key, base_url=base_url, max_retries=0, _strict_response_validation=True)

    return connect


@pytest.fixture
def list_chat_metrics(roark_client):
    """The client knows calls but no chats, whose metrics have the same form."""
    with roark_client() as client:

        def ask(chat, **query):
            options = {"params": query}
            return client.get(f"/v1/chat/{chat}/metrics", cast_to=CallListMetricsResponse, options=options)

        yield ask


@pytest.fixture
def call(emulator):
    """A conversation with an output of each status, and of each kind of value."""
    call = emulator.coval.add_conversation()
    for name, value in (
        ("latency", 2.35),
        ("tone of voice", "positive"),
        ("topics", ["billing"]),
        ("turns", 7),
    ):
        emulator.coval.add_metric_output(call, value, metric_name=name, explanation="as heard")
    for status in ("IN QUEUE", "IN PROGRESS", "SKIPPED", "FAILED", "CANCELLED"):
        reason = f"{status} it is"
        emulator.coval.add_metric_output(call, metric_name=status, status=status, status_reason=reason)
    return call


def values(metrics):
    return [None if metric.value is None else metric.value.actual_instance for metric in metrics]


@pytest.mark.parametrize("nulls", ["absent", "null"])
def test_coval_reads_each_kind_of_value_and_each_status(list_metrics, emulator, call, nulls):
    emulator.settings(nulls=nulls)
    page = list_metrics(call, order_by="create_time")
    assert page.next_page_token is None
    assert values(page.metrics) == [2.35, "positive", ["billing"], 7, *[None] * 5]
    assert [metric.status for metric in page.metrics] == [
        *["COMPLETED"] * 4,
        "IN QUEUE",
        "IN PROGRESS",
        "SKIPPED",
        "FAILED",
        "CANCELLED",
    ]
    assert page.metrics[0].explanation == "as heard"
    assert page.metrics[-1].status_reason == "CANCELLED it is"
    shown = emulator.coval.conversations()[0]["metrics"]
    assert [(metric.metric_output_id, metric.metric_id) for metric in page.metrics] == [
        (row["metric_output_id"], row["metric_id"]) for row in shown
    ]
    assert not any(metric.additional_properties for metric in page.metrics)
    assert not page.additional_properties


@pytest.mark.parametrize("page_size", [1, 2, 4, 9])
def test_coval_walks_all_pages(list_metrics, emulator, call, page_size):
    walked = list(
        paginate(
            list_metrics, items_field="metrics", conversation_id=call, page_size=page_size, order_by="value"
        )
    )
    assert walked == list_metrics(call, order_by="value").metrics
    assert len(emulator.journal(service="coval")) == -(-9 // page_size) + 1


def test_coval_notices_pages_that_never_end(list_metrics, emulator, call):
    emulator.settings(repeat_page_token=True)
    with pytest.raises(RuntimeError, match="token repeated"):
        list(paginate(list_metrics, items_field="metrics", conversation_id=call, page_size=2))


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("metric_name=latency", [2.35]),
        ('metric_name="tone of voice" AND status=COMPLETED', ["positive"]),
        ("output_type=float AND status=COMPLETED", [2.35, 7]),
        ("status=FAILED", [None]),
        ("metric_name=latency AND status=FAILED", []),
    ],
)
def test_coval_filters(list_metrics, call, filter, found):
    assert values(list_metrics(call, filter=filter).metrics) == found


@pytest.mark.parametrize(
    ("order_by", "first"), [("value", 2.35), ("-value", 7), ("metric_name", None), ("-create_time", None)]
)
def test_coval_orders(list_metrics, call, order_by, first):
    assert values(list_metrics(call, order_by=order_by).metrics)[0] == first


def test_coval_sees_an_output_become_ready(list_metrics, emulator, eventually):
    call = emulator.coval.add_conversation()
    emulator.coval.add_metric_output(call, 1.5, ready_after=0.6)
    [metric] = list_metrics(call).metrics
    assert (metric.status, metric.value) == ("IN PROGRESS", None)
    eventually(lambda: list_metrics(call).metrics[0].status == "COMPLETED")
    assert values(list_metrics(call).metrics) == [1.5]


@pytest.mark.parametrize(
    ("query", "kind", "code", "fields"),
    [
        ({"filter": "status"}, BadRequestException, "INVALID_ARGUMENT", ["filter"]),
        ({"page_token": "x"}, BadRequestException, "INVALID_ARGUMENT", ["page_token"]),
        ({"order_by": "x"}, BadRequestException, "INVALID_ARGUMENT", ["order_by"]),
        ({"conversation_id": UNKNOWN}, NotFoundException, "NOT_FOUND", []),
    ],
)
def test_coval_reads_the_errors(list_metrics, call, query, kind, code, fields):
    with pytest.raises(kind) as caught:
        list_metrics(**{"conversation_id": call} | query)
    error = caught.value.data.error
    assert (error.code, [detail.var_field for detail in error.details]) == (code, fields)
    assert error.message


def test_coval_reads_a_refused_key(coval_client, call):
    with coval_client("wrong") as client, pytest.raises(UnauthorizedException) as caught:
        client.conversations.list_conversation_metrics(call)
    assert caught.value.data.error.code == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("status", "kind"), [(500, ServiceException), (503, ServiceException), (429, ApiException)]
)
def test_coval_reads_a_fault(list_metrics, emulator, call, status, kind):
    emulator.fault(service="coval", status=status)
    with pytest.raises(kind) as caught:
        list_metrics(call)
    assert caught.value.status == status


@pytest.fixture
def chat(emulator):
    """A chat with a value of each kind, of each status and of each context."""
    chat = emulator.roark.add_chat()
    add = emulator.roark.add_metric_value
    segment = {"text": "Hello", "startOffsetMs": 0, "endOffsetMs": 480}
    policies = ["3c90c3cc-0d44-4b50-8888-8dd25736052a"]
    add(chat, "call_reason", "billing", value_reasoning="as heard", confidence=0.5, policy_ids=policies)
    add(chat, "resolved", True, type="CLASSIFICATION", description="Whether it was resolved")
    add(chat, "talk_time", 61.5, participant_role="agent", unit={"name": "seconds", "symbol": "s"})
    add(chat, "talk_time", 40, participant_role="customer")
    add(chat, "tone", 3, segment=segment)
    add(chat, "pause", 480, from_segment=segment, to_segment=segment)
    add(chat, "tone", capture_status="NOT_APPLICABLE", segment=segment)
    add(chat, "empathy", capture_status="DATA_MISSING")
    add(chat, "sentiment", capture_status="ERROR", error_message="provider down")
    return chat


def test_roark_reads_each_kind_of_value(list_chat_metrics, chat):
    metrics = {metric.slug: metric for metric in list_chat_metrics(chat).data}
    assert list(metrics) == ["call_reason", "resolved", "talk_time", "tone", "pause"]
    assert {slug: [value.value for value in metric.values] for slug, metric in metrics.items()} == {
        "call_reason": ["billing"],
        "resolved": [True],
        "talk_time": [61.5, 40],
        "tone": [3],
        "pause": [480],
    }
    assert metrics["resolved"].values[0].value is True
    assert [metric.type for metric in metrics.values()] == [
        "TEXT",
        "CLASSIFICATION",
        "NUMERIC",
        "NUMERIC",
        "NUMERIC",
    ]
    assert metrics["talk_time"].scope == "PER_PARTICIPANT"
    assert (metrics["talk_time"].unit.name, metrics["talk_time"].unit.symbol) == ("seconds", "s")
    assert [value.participant_role for value in metrics["talk_time"].values] == ["agent", "customer"]
    assert metrics["tone"].values[0].segment.text == "Hello"
    assert metrics["pause"].values[0].to_segment.end_offset_ms == 480
    assert [metric.values[0].context for metric in metrics.values()] == [
        "CALL",
        "CALL",
        "CALL",
        "SEGMENT",
        "SEGMENT_RANGE",
    ]


def test_roark_knows_every_field(list_chat_metrics, chat):
    for metric in list_chat_metrics(chat, status="all").data:
        for part in (metric, *metric.values):
            assert not part.model_extra
        assert all(isinstance(value, StandardMetricValue) for value in metric.values)
        assert datetime.fromisoformat(metric.values[0].computed_at) <= datetime.now(UTC)


def test_roark_reads_the_rows_without_a_value(list_chat_metrics, chat):
    metrics = list_chat_metrics(chat, status="all").data
    rows = [value for metric in metrics for value in metric.values if value.capture_status != "SUCCESS"]
    assert [(row.capture_status, row.value, row.error_message) for row in rows] == [
        ("NOT_APPLICABLE", None, None),
        ("DATA_MISSING", None, None),
        ("ERROR", None, "provider down"),
    ]


def test_roark_reads_each_flattened_row_as_a_value(emulator, roark_client, chat):
    with roark_client() as client:
        options = {"params": {"flatten": "true", "status": "all"}}
        rows = client.get(f"/v1/chat/{chat}/metrics", cast_to=object, options=options)["data"]
    values = [StandardMetricValue.model_validate(row) for row in rows]
    grouped = [value for metric in emulator.roark.chats()[0]["metrics"] for value in metric["values"]]
    assert [value.value for value in values] == [value.get("value") for value in grouped]
    assert len(rows) == 9


@pytest.mark.parametrize(
    ("key", "path", "query", "kind"),
    [
        ("wrong", "{chat}", {}, AuthenticationError),
        (KEY, "unknown", {}, NotFoundError),
        (KEY, "{chat}", {"status": "x"}, BadRequestError),
        (KEY, "{chat}", {"flatten": "1"}, BadRequestError),
    ],
)
def test_roark_reads_the_errors(roark_client, chat, key, path, query, kind):
    with roark_client(key) as client, pytest.raises(kind) as caught:
        client.get(
            f"/v1/chat/{path.format(chat=chat)}/metrics",
            cast_to=CallListMetricsResponse,
            options={"params": query},
        )
    assert caught.value.body.keys() == {"error", "message"}


def test_roark_reads_a_fault(list_chat_metrics, emulator, chat):
    emulator.fault(service="roark", status=500)
    with pytest.raises(InternalServerError):
        list_chat_metrics(chat)
