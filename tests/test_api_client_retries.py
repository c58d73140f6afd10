from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import wait_fixed

from airflow_provider_zelto import api_client
from airflow_provider_zelto.api_client import APIClient, AsyncAPIClient, RetryPolicy
from airflow_provider_zelto.exceptions import InternalServerError, RateLimitError, status_error_class
from airflow_provider_zelto.hooks.zelto import ZeltoHook, list_request
from tests.answers import read_answer


def statuses(emulator):
    return [entry["status"] for entry in emulator.journal()]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_asked_about_again_up_to_the_limit(ask, emulator, call, connect, status):
    connect(emulator.url, extra={"max_retries": 2})
    emulator.fault(status=status)
    with pytest.raises(status_error_class(status)) as caught:
        ask("list", call)
    assert statuses(emulator) == [status] * 3
    assert caught.value.status_code == status


def test_four_retries_are_the_default(ask, emulator, call):
    emulator.fault(status=503)
    with pytest.raises(InternalServerError):
        ask("list", call)
    assert statuses(emulator) == [503] * 5


def test_a_request_may_be_left_unrepeated(ask, emulator, call, connect):
    connect(emulator.url, extra={"max_retries": "0"})
    emulator.fault(status=503)
    with pytest.raises(InternalServerError):
        ask("list", call)
    assert statuses(emulator) == [503]


def test_the_answer_after_passing_failures_counts(ask, emulator, call, caplog):
    emulator.fault(status=503, count=1)
    emulator.fault(action="reset", count=1)
    emulator.fault(action="cut_body", count=1)
    emulator.fault(status=429, retry_after=0, count=1)
    with caplog.at_level(logging.WARNING):
        stored = ask("submit", call, label="a", score=1)
    assert emulator.metrics(call) == [stored]
    assert len(emulator.journal()) == 5
    announced = [record.message for record in caplog.records if "Trying again in" in record.message]
    assert len(announced) == 4
    assert all(call in message for message in announced)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 422, 501, 505])
def test_other_errors_are_not_asked_about_again(ask, emulator, call, status):
    emulator.fault(status=status)
    with pytest.raises(status_error_class(status)):
        ask("list", call)
    assert statuses(emulator) == [status]


def test_the_service_may_say_when_to_ask_again(ask, emulator, call):
    emulator.fault(status=503, retry_after=1, count=1)
    assert ask("list", call) == []
    first, second = (datetime.fromisoformat(entry["at"]) for entry in emulator.journal())
    assert timedelta(seconds=1) <= second - first < timedelta(seconds=5)


@pytest.mark.parametrize(
    "retry_after",
    ["61", "3600", "9" * 400, format_datetime(datetime.now(UTC) + timedelta(1))],
    ids=["a minute", "an hour", "for ever", "a date"],
)
def test_a_request_does_not_wait_longer_than_its_limit(ask, emulator, call, retry_after):
    emulator.fault(status=429, retry_after=retry_after)
    with pytest.raises(RateLimitError) as caught:
        ask("list", call)
    assert statuses(emulator) == [429]
    assert caught.value.retry_after > 60
    assert "a request waits at most 60 s by itself" in str(caught.value)
    assert "retry_delay" in str(caught.value)


def seconds_to_wait(value):
    with pytest.raises(RateLimitError) as caught:
        read_answer(429, retry_after=value)
    return caught.value.retry_after


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("7", 7), (" 60 ", 60), ("3600", 3600)])
def test_retry_after_may_be_seconds(value, seconds):
    assert seconds_to_wait(value) == seconds


@pytest.mark.parametrize(
    ("ahead", "seconds"), [(timedelta(0), 0), (timedelta(seconds=30), 30), (timedelta(days=-1), 0)]
)
def test_retry_after_may_be_a_date(ahead, seconds):
    moment = datetime.now(UTC) + ahead
    without_zone = moment.strftime("%a, %d %b %Y %H:%M:%S")
    for written in (format_datetime(moment, usegmt=True), format_datetime(moment), without_zone):
        assert seconds_to_wait(written) == pytest.approx(seconds, abs=5)


@pytest.mark.parametrize("value", ["", "-1", "1.5", "soon", "Mon, 01 Jan", "Mon, 99 Jan 2026 00:00:00 GMT"])
def test_any_other_retry_after_is_left_out_of_account(value):
    assert seconds_to_wait(value) is None


@given(
    st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
        st.builds(
            "{}{} {} {} {:02}:{:02}:{:02} {}".format,
            st.sampled_from(["", "Mon, "]),
            st.integers(0, 32),
            st.sampled_from(["Jan", "Feb", "Dec", "Foo"]),
            st.integers(0, 100_000),
            st.integers(0, 25),
            st.integers(0, 61),
            st.integers(0, 61),
            st.sampled_from(["GMT", "EST", "", "+0000", "-1200", "+9999", "-99999999", "Z"]),
        ),
    )
)
def test_no_retry_after_can_break_a_client(value):
    seconds = seconds_to_wait(value)
    assert seconds is None or seconds >= 0


def test_pauses_grow_and_are_spread_out(mocker):
    state = mocker.Mock(outcome=None)
    for attempt, longest in [(1, 0.5), (2, 1), (3, 2), (4, 4), (20, 30)]:
        state.attempt_number = attempt
        pauses = {api_client.pause_before_retry(state) for _ in range(50)}
        assert all(0 <= pause <= longest for pause in pauses)
        assert max(pauses) - min(pauses) > longest / 4


def test_whoever_was_told_to_wait_comes_back_a_little_later_than_the_others(mocker):
    error = RateLimitError("no", service="Zelto", method="GET", path="/", status_code=429, retry_after=7)
    state = mocker.Mock(**{"outcome.exception.return_value": error}, attempt_number=1)
    pauses = {api_client.pause_before_retry(state) for _ in range(20)}
    assert all(7 <= pause <= 7.5 for pause in pauses)
    assert len(pauses) > 1


def send(settings, request):
    with APIClient(settings) as client:
        return client.send(request)


async def asend(settings, request):
    async with AsyncAPIClient(settings) as client:
        return await client.send(request)


@pytest.mark.parametrize("send", [send, lambda *args: asyncio.run(asend(*args))], ids=["sync", "async"])
def test_a_request_is_not_repeated_beyond_its_budget_of_time(emulator, call, monkeypatch, send):
    monkeypatch.setattr(api_client, "_backoff", wait_fixed(0.1))
    emulator.fault(status=503)
    settings = replace(ZeltoHook().get_conn().settings, retry_policy=RetryPolicy(1000, budget=0.35))
    with pytest.raises(InternalServerError):
        send(settings, list_request(call))
    assert 2 <= len(emulator.journal()) <= 4


@pytest.mark.parametrize("fault", [{"action": "reset"}, {"action": "cut_body"}, {"status": 502}])
def test_a_submit_whose_answer_was_lost_is_sent_again_and_stored_once(ask, emulator, call, fault):
    emulator.fault(**fault, when="after", count=1)
    stored = ask("submit", call, label="a", score=1)
    assert [entry["method"] for entry in emulator.journal()] == ["POST", "POST"]
    assert emulator.metrics(call) == [stored]
    assert stored["updatedAt"] > stored["createdAt"]
