from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_zelto.calls import CALLS_NAMED
from airflow_provider_zelto.coverage import Coverage, CoverageCondition
from airflow_provider_zelto.exceptions import (
    AuthenticationError,
    InternalServerError,
    InvalidMetricError,
    NotFoundError,
)
from tests.answers import CALL, METRIC
from tests.swift_time import swiftly

ORIGIN = {"service": "Zelto", "method": "GET", "path": "/"}


def calls(count):
    return [str(UUID(int=number)) for number in range(1, count + 1)]


def condition(conversation_ids=(CALL,), **arguments):
    return CoverageCondition.check({"conversation_ids": conversation_ids, **arguments})


def metric(label, updated_at="2026-01-02T12:00:00Z"):
    return {**METRIC, "label": label, "updatedAt": updated_at}


def fields(**arguments):
    with pytest.raises(InvalidMetricError) as caught:
        condition(**arguments)
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize("share", [0, -0.1, 1.1, 95, True, "x", float("nan"), None, "0"])
def test_a_coverage_is_a_share_above_0(share):
    [error] = fields(min_coverage=share)
    assert error.startswith("min_coverage: ")


def test_a_coverage_may_be_the_text_of_a_template():
    assert condition(min_coverage="0.5").min_coverage == 0.5


@pytest.mark.parametrize(
    ("arguments", "metrics", "covers"),
    [
        ({}, [], False),
        ({}, [metric("a")], True),
        ({"labels": ["a", "b"]}, [metric("a"), metric("c")], False),
        ({"labels": ["a", "b"]}, [metric("b"), metric("a"), metric("c")], True),
        ({"updated_after": "2026-01-02T12:00:00Z"}, [metric("a")], True),
        ({"updated_after": "2026-01-02T12:00:01Z"}, [metric("a")], False),
        (
            {"labels": ["a", "b"], "updated_after": "2026-01-02T12:00:01Z"},
            [metric("a", "2026-01-03"), metric("b")],
            False,
        ),
    ],
)
def test_a_call_is_covered_by_all_labels_or_any_metric_that_is_new_enough(arguments, metrics, covers):
    assert condition(**arguments).covers(metrics) == covers


def test_a_condition_made_again_from_its_json_is_the_same():
    full = condition(
        calls(3), labels=["b", "a"], min_coverage=0.5, updated_after=datetime(2026, 1, 2, tzinfo=UTC)
    )
    assert CoverageCondition.check(full.to_json()) == full
    of_file = condition("s3://bucket/calls.txt")
    assert CoverageCondition.check(of_file.to_json()) == of_file


class Service:
    """Answers as it is told to, and notes what it is asked."""

    def __init__(self, answers=None):
        self.answers = answers or {}
        self.asked = []
        self.under_way = self.most_under_way = 0

    async def __call__(self, call):
        self.asked.append(call)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0.01)
        finally:
            self.under_way -= 1
        answer = self.answers.get(call, "covered")
        if isinstance(answer, int):
            error_class = {404: NotFoundError, 401: AuthenticationError, 503: InternalServerError}[answer]
            raise error_class(f"answered {answer}", **ORIGIN, status_code=answer)
        return [metric("a")] if answer == "covered" else []


def ask(coverage, service, max_failures=10):
    return swiftly(coverage.ask(service, max_failures=max_failures))


def coverage_of(ids, **arguments):
    return Coverage(condition(ids, **arguments), ids)


ANSWERS = st.sampled_from(["covered", "nothing", 404, 503])


@given(st.lists(st.lists(ANSWERS, max_size=30), min_size=1, max_size=4), st.integers(1, 8))
def test_only_the_calls_still_missing_are_asked_again_each_once_a_round(rounds, concurrency):
    ids = calls(max(1, max(map(len, rounds))))
    coverage = coverage_of(ids, concurrency=concurrency)
    missing = list(ids)
    for answers in rounds:
        service = Service(dict(zip(ids, answers, strict=False)))
        answered = [call for call in missing if service.answers.get(call) != 503]
        if missing and not answered:
            with pytest.raises(InternalServerError):
                ask(coverage, service, max_failures=1000)
        else:
            failure = ask(coverage, service, max_failures=1000)
            assert (failure is None) == (answered == missing)
        assert sorted(service.asked) == missing
        assert service.most_under_way == min(concurrency, len(missing))
        missing = [call for call in missing if service.answers.get(call, "covered") != "covered"]
        assert list(coverage.missing) == missing
        assert coverage.covered == len(ids) - len(missing)
        assert coverage.is_enough == (missing == [])


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.01, 1))
def test_it_is_enough_exactly_when_the_share_is_reached(missing, covered, share):
    coverage = Coverage(condition(calls(missing), min_coverage=share), calls(missing), covered)
    assert coverage.is_enough == (covered / (missing + covered) >= share)


@pytest.mark.parametrize("count", [3, 7, 10, 20, 100])
def test_a_share_is_not_missed_for_the_sake_of_rounding(count):
    for enough in range(1, count):
        coverage = Coverage(condition(calls(1), min_coverage=enough / count), calls(count - enough), enough)
        assert coverage.is_enough


def test_a_service_that_is_down_is_not_asked_for_every_call():
    ids = calls(1000)
    service = Service(dict.fromkeys(ids, 503))
    with pytest.raises(InternalServerError):
        ask(coverage_of(ids, concurrency=8), service, max_failures=10)
    assert len(service.asked) <= 10 + 8


def test_a_service_that_goes_down_leaves_the_rest_for_the_next_round():
    ids = calls(1000)
    coverage = coverage_of(ids, concurrency=1)
    service = Service(dict.fromkeys(ids[5:], 503))
    failure = ask(coverage, service, max_failures=3)
    assert str(failure) == "answered 503"
    assert service.asked == ids[:8]
    assert coverage.covered == 5


def test_a_refused_key_ends_a_round_at_once():
    ids = calls(1000)
    service = Service(dict.fromkeys(ids, 401))
    with pytest.raises(AuthenticationError):
        ask(coverage_of(ids, concurrency=8), service)
    assert len(service.asked) <= 8


def test_a_round_that_is_cancelled_leaves_nothing_running():
    service = Service()

    async def cancel():
        coverage = coverage_of(calls(100), concurrency=8)
        asking = asyncio.create_task(coverage.ask(service, max_failures=10))
        await asyncio.sleep(0.005)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return len(asyncio.all_tasks())

    assert swiftly(cancel()) == 1
    assert service.under_way == 0


def test_a_coverage_that_is_stopped_asks_for_nothing_more():
    service = Service()
    coverage = coverage_of(calls(100), concurrency=4)

    async def stop():
        asking = asyncio.create_task(coverage.ask(service, max_failures=10))
        await asyncio.sleep(0.005)
        coverage.stop()
        await asking

    swiftly(stop())
    assert len(service.asked) == 4


@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_another_process_goes_on_with_what_was_found(found):
    ids = calls(len(found))
    before, after = coverage_of(ids), coverage_of(ids)
    for call, is_found in zip(ids, found, strict=True):
        if is_found:
            del before.missing[call]
    after.go_on(json.loads(json.dumps(before.state())))
    assert after.missing == before.missing
    assert after.state() == before.state()


@pytest.mark.parametrize(
    "other",
    [
        {"labels": ["b"]},
        {"updated_after": "2026-01-02"},
        {"conversation_ids": calls(2)[::-1]},
        {"conversation_ids": calls(3)},
    ],
)
def test_what_was_found_of_another_wait_is_no_matter(other):
    before = coverage_of(calls(2))
    before.missing.clear()
    waited_for = condition(**{"conversation_ids": calls(2), **other})
    after = Coverage(waited_for, waited_for.conversation_ids)
    for state in (before.state(), None, "x", {}):
        after.go_on(state)
        assert after.covered == 0


def test_what_is_kept_for_another_process_is_small():
    ids = calls(5000)
    assert len(json.dumps(coverage_of(ids).state())) < 1500


def test_a_summary_stays_small_and_names_some_of_the_missing():
    ids = calls(5000)
    coverage = Coverage(condition(ids), ids, covered=7)
    assert coverage.summary(1.23456) == {
        "calls": 5007,
        "covered": 7,
        "missing": ids[:CALLS_NAMED],
        "seconds": 1.235,
    }
    assert str(coverage) == (
        f"7 of 5007 calls have what is waited for; missing: {', '.join(ids[:20])} and 4980 more"
    )
    assert str(Coverage(condition(ids), [], covered=3)) == "3 of 3 calls have what is waited for"
