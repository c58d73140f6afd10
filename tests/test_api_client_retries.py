from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tenacity import wait_fixed

from airflow_provider_zelto import api_request
from airflow_provider_zelto.api_client import APIClient, AsyncAPIClient
from airflow_provider_zelto.api_request import RetryPolicy
from airflow_provider_zelto.exceptions import InternalServerError, RateLimitError, status_error_class
from airflow_provider_zelto.hooks.zelto import ZeltoHook, list_request


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


def send(settings, request):
    with APIClient(settings) as client:
        return client.send(request)


async def asend(settings, request):
    async with AsyncAPIClient(settings) as client:
        return await client.send(request)


@pytest.mark.parametrize("send", [send, lambda *args: asyncio.run(asend(*args))], ids=["sync", "async"])
def test_a_request_is_not_repeated_beyond_its_budget_of_time(emulator, call, monkeypatch, send):
    monkeypatch.setattr(api_request, "_backoff", wait_fixed(0.1))
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
