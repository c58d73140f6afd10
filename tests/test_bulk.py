from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_zelto import bulk
from airflow_provider_zelto.api_request import APIRequest, RetryPolicy
from airflow_provider_zelto.bulk import Batch, Job
from airflow_provider_zelto.exceptions import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    InternalServerError,
    RateLimitError,
    status_error_class,
)
from tests.swift_time import now, swiftly


def problem(status, retry_after=None):
    where = {"service": "Zelto", "method": "POST", "path": "/"}
    return status_error_class(status)(
        f"Zelto answered {status}", **where, status_code=status, retry_after=retry_after
    )


def unreachable():
    return APIConnectionError("gone", service="Zelto", method="POST", path="/")


class FakeClient:
    """Takes requests, whose ``about`` is their job's number, and answers each as it is told."""

    def __init__(self, answer=None, latency=0.05):
        self.started, self.finished = [], []
        self.under_way = self.most_under_way = 0
        self._answer = answer or (lambda number, attempt: None)
        self._latency = latency if callable(latency) else lambda number: latency
        self._attempts = {}

    async def attempt(self, request):
        number = request.about
        self._attempts[number] = attempt = self._attempts.get(number, 0) + 1
        self.started.append((number, now()))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(self._latency(number))
        self.under_way -= 1
        if error := self._answer(number, attempt):
            raise error
        self.finished.append(number)
        return f"stored {number}"

    @property
    def sent(self):
        return [number for number, _ in self.started]


async def jobs_of(keys):
    for number, key in enumerate(keys, 1):
        yield Job(number, f"row {number}", key, APIRequest("POST", "/", number, read=str))


def send(keys, client, concurrency=4, then=lambda batch, outcome: None, **options):
    """Send jobs with these keys; give the outcomes, the error at their end, and the batch."""
    outcomes = []

    async def run():
        batch = Batch(client, concurrency=concurrency, **options)
        try:
            async with asyncio.timeout(100_000):
                async for outcome in batch.outcomes(jobs_of(keys)):
                    outcomes.append(outcome)
                    then(batch, outcome)
        except APIError as error:
            return error, batch
        return None, batch

    error, batch = swiftly(run())
    return outcomes, error, batch


def numbers(outcomes):
    return sorted(outcome.job.number for outcome in outcomes)


def test_every_job_has_one_outcome_with_its_row_and_result():
    outcomes, error, _ = send(range(100), FakeClient())
    assert error is None
    assert sorted((o.job.number, o.job.row, o.result, o.error) for o in outcomes) == [
        (number, f"row {number}", f"stored {number}", None) for number in range(1, 101)
    ]


def test_no_jobs_have_no_outcomes():
    assert send([], FakeClient())[:2] == ([], None)


@pytest.mark.parametrize("concurrency", [1, 7, 64])
def test_as_many_requests_are_under_way_as_asked_for_and_no_more(concurrency):
    client = FakeClient()
    send(range(200), client, concurrency)
    assert client.most_under_way == concurrency


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=60),
    st.integers(1, 20),
    st.integers(0, 1_000_000),
)
def test_jobs_of_one_key_are_done_in_the_order_of_the_batch(keys, concurrency, seed):
    chance = random.Random(seed)

    def fails(number, attempt):
        return problem(503) if chance.random() < 0.3 else None

    client = FakeClient(fails, lambda number: chance.choice([0, 0.01, 1, 30]))
    outcomes, error, batch = send(keys, client, concurrency)
    assert error is None
    assert numbers(outcomes) == list(range(1, len(keys) + 1))
    for key in set(keys):
        of_key = [number for number, its_key in enumerate(keys, 1) if its_key == key]
        assert [number for number in client.finished if number in of_key] == of_key
        assert [o.job.number for o in outcomes if o.job.key == key] == of_key
    assert batch._last_of_key == {}


def test_what_is_known_of_keys_does_not_grow_with_the_batch():
    known = []
    send(range(2000), FakeClient(), 8, then=lambda batch, _: known.append(len(batch._last_of_key)))
    assert max(known) <= 8


def test_jobs_of_one_key_hold_up_no_others():
    client = FakeClient(latency=lambda number: 10 if number == 1 else 0.1)
    send(["slow", *range(30)], client, 4)
    assert client.finished[-1] == 1


@pytest.mark.parametrize("status", [400, 404])
def test_a_row_that_is_refused_is_an_outcome_and_the_others_go_on(status):
    client = FakeClient(lambda number, attempt: problem(status) if number % 3 == 0 else None)
    outcomes, error, batch = send(range(30), client)
    assert error is None
    assert numbers(outcomes) == list(range(1, 31))
    refused = [outcome for outcome in outcomes if outcome.error]
    assert numbers(refused) == list(range(3, 31, 3))
    assert {type(outcome.error) for outcome in refused} == {status_error_class(status)}
    assert batch.retries == 0


@pytest.mark.parametrize("status", [401, 403, 405, 409, 410, 413, 422])
def test_an_error_that_all_rows_would_meet_stops_the_batch(status):
    client = FakeClient(lambda number, attempt: problem(status) if number == 20 else None)
    outcomes, error, batch = send(range(1000), client, 4)
    assert type(error) is status_error_class(status)
    assert batch.stopped
    # What was under way is finished and told of before the error is raised.
    assert client.under_way == 0
    assert numbers(outcomes) == sorted(client.finished)
    assert len(client.sent) <= 20 + 4


def test_the_first_of_several_errors_is_the_one_raised():
    statuses = {5: 401, 6: 403, 7: 403}
    client = FakeClient(
        lambda number, attempt: problem(statuses[number]) if number in statuses else None,
        latency=lambda number: 1 if number in (6, 7) else 0.5,
    )
    assert type(send(range(50), client, 4)[1]) is AuthenticationError


@pytest.mark.parametrize("failure", [lambda: problem(503), lambda: problem(408), unreachable])
def test_a_failure_that_may_pass_is_asked_about_again(failure):
    client = FakeClient(lambda number, attempt: failure() if number % 5 == 0 and attempt < 4 else None)
    outcomes, error, batch = send(range(50), client)
    assert error is None
    assert [outcome.error for outcome in outcomes] == [None] * 50
    assert batch.retries == 10 * 3


def test_a_row_that_goes_through_at_once_is_spared_the_retry_loop(mocker):
    loop = mocker.patch.object(bulk, "AsyncRetrying", autospec=True)
    send(range(50), FakeClient())
    assert not loop.called


def test_a_failure_that_does_not_pass_stops_the_batch_in_the_end(monkeypatch):
    monkeypatch.setattr(bulk, "PATIENT", RetryPolicy(max_retries=3, budget=300))
    client = FakeClient(lambda number, attempt: problem(500) if number == 7 else None)
    outcomes, error, batch = send(range(1000), client, 4)
    assert type(error) is InternalServerError
    assert client.sent.count(7) == 1 + 4  # at first sight, and the attempts of the retry loop
    assert batch.retries == 4
    assert numbers(outcomes) == sorted(client.finished)
    assert len(outcomes) < 1000


def test_a_row_waits_as_long_as_the_service_asked_before_its_first_retry():
    client = FakeClient(lambda number, attempt: problem(503, retry_after=20) if attempt == 1 else None)
    send(["a"], client)
    first, second = (start for _, start in client.started)
    assert 20 <= second - first <= 20 + 1 + 0.05


def test_a_429_holds_up_the_whole_batch_for_as_long_as_it_says():
    client = FakeClient(
        lambda number, attempt: problem(429, retry_after=30) if (number, attempt) == (100, 1) else None
    )
    outcomes, error, batch = send(range(400), client, 8)
    assert (error, len(outcomes), batch.retries) == (None, 400, 1)
    told = next(start for number, start in client.started if number == 100) + 0.05
    assert not [start for _, start in client.started if told < start < told + 30]
    after = [start for _, start in client.started if start > told]
    # It had done 160 a second: eight requests of 0.05 seconds at once.
    assert len([start for start in after if start < after[0] + 0.5]) == pytest.approx(0.75 * 80, rel=0.15)


def test_pauses_nobody_gave_a_length_for_start_short_again_once_a_row_went_through():
    told = {100, 101, 300}
    client = FakeClient(lambda number, attempt: problem(429) if number in told and attempt == 1 else None)
    send(range(400), client, 1)
    pauses = [
        later - earlier for (_, earlier), (_, later) in pairwise(client.started) if later - earlier > 1.5
    ]
    # Each would be twice as long as the one before if no row had gone through in between.
    assert [round(pause) for pause in pauses] == [2, 2, 2]


def test_a_429_that_asks_for_longer_than_a_batch_waits_stops_it_and_says_so():
    longest = bulk.PATIENT.longest_retry_after
    client = FakeClient(lambda number, attempt: problem(429, longest + 1) if number == 50 else None)
    outcomes, error, _ = send(range(1000), client)
    assert type(error) is RateLimitError
    assert client.started[-1][1] - client.started[0][1] < 5
    assert numbers(outcomes) == sorted(client.finished)


def test_a_batch_has_the_patience_for_the_longest_wait_it_accepts():
    assert bulk.PATIENT.longest_retry_after + 1 < bulk.PATIENT.budget


def test_a_rate_limit_holds_over_rows_and_repeated_requests_alike():
    chance = random.Random(1)
    client = FakeClient(lambda number, attempt: problem(503) if chance.random() < 0.3 else None)
    send(range(300), client, 16, max_requests_per_second=50)
    starts = [start for _, start in client.started]
    assert len(starts) > 300
    busiest = max(len([start for start in starts if first <= start < first + 1]) for first in starts)
    assert 50 <= busiest <= 50 + 2


def stop_at(number):
    return lambda batch, outcome: batch.stop() if outcome.job.number >= number else None


def test_a_stop_finishes_what_is_under_way_and_sends_nothing_more():
    client = FakeClient()
    outcomes, error, batch = send(range(1000), client, 8, then=stop_at(100))
    assert error is None
    assert batch.stopped
    assert client.under_way == 0
    assert numbers(outcomes) == sorted(client.finished)
    assert len(client.sent) <= 100 + 2 * 8


def test_a_stop_waits_for_no_retry_no_turn_and_no_earlier_row():
    client = FakeClient(lambda number, attempt: problem(503, retry_after=200) if number == 1 else None)
    # Row 2 waits for row 1, which waits to be repeated; all others wait for their turn.
    keys = ["a", "a", *range(500)]
    outcomes, error, _ = send(keys, client, 8, then=stop_at(5), max_requests_per_second=0.5)
    assert error is None
    assert client.started[-1][1] < 60
    assert {1, 2}.isdisjoint(numbers(outcomes))


def test_a_stop_sends_no_row_that_waits_for_an_earlier_one_under_way():
    client = FakeClient(latency=lambda number: 30 if number == 1 else 0.1)
    outcomes, _, _ = send(["a", "a", *range(500)], client, 8, then=stop_at(20))
    assert 1 in numbers(outcomes)
    assert 2 not in client.sent


def test_a_stop_while_the_source_is_slow_sends_not_the_row_that_comes_then():
    client = FakeClient()

    async def slow_jobs():
        async for job in jobs_of(range(3)):
            yield job
            await asyncio.sleep(10)

    async def run():
        batch = Batch(client, concurrency=4)
        async for _ in batch.outcomes(slow_jobs()):
            batch.stop()

    swiftly(run())
    assert client.sent == [1]


def test_a_stop_before_the_start_sends_nothing():
    client = FakeClient()

    async def run():
        batch = Batch(client, concurrency=4)
        batch.stop()
        return [outcome async for outcome in batch.outcomes(jobs_of(range(10)))]

    assert swiftly(run()) == []
    assert client.sent == []


def test_an_error_in_making_jobs_is_raised_after_the_outcomes():
    class SourceError(Exception):
        pass

    async def broken():
        async for job in jobs_of(range(10)):
            yield job
        raise SourceError

    outcomes = []

    async def run():
        async for outcome in Batch(FakeClient(), concurrency=4).outcomes(broken()):
            outcomes.append(outcome)

    with pytest.raises(SourceError):
        swiftly(run())
    assert numbers(outcomes) == list(range(1, 11))


def test_a_user_who_goes_away_ends_everything_at_once(caplog):
    closed = []

    async def jobs():
        try:
            async for job in jobs_of([1, 1, 1, 1, *range(1000)]):
                yield job
        finally:
            closed.append(True)

    client = FakeClient(latency=lambda number: 1000 if number == 1 else 0.01)

    async def run():
        began = now()
        async with aclosing(Batch(client, concurrency=8).outcomes(jobs())) as outcomes:
            async for outcome in outcomes:
                if outcome.job.number > 50:
                    break
        return now() - began, list(closed)

    seconds, closed_by_then = swiftly(run())
    assert seconds < 10
    assert closed_by_then == [True]
    assert "asyncio" not in {record.name for record in caplog.records}


def test_a_cancelled_wait_for_an_earlier_row_stops_no_worker_with_an_error():
    async def run():
        batch = Batch(FakeClient(latency=lambda number: 0.01 if number > 2 else 1000), concurrency=8)
        async with aclosing(batch.outcomes(jobs_of([1, 1, 2, 3]))) as outcomes:
            await anext(outcomes)
        return batch

    batch = swiftly(run())
    assert (batch.stopped, batch._error) == (False, None)
