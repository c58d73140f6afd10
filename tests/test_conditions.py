from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_zelto.conditions import (
    Failures,
    MetricsCondition,
    MetricsSelection,
    with_labels,
)
from airflow_provider_zelto.exceptions import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    InvalidMetricError,
    NotFoundError,
    status_error_class,
)
from tests.answers import CALL

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LABELS = ["a", "b", "c", "A", "ä"]


def metric(label, updated_at=NOON, number=1):
    return {"id": f"{number:04}", "label": label, "updatedAt": updated_at.isoformat()}


def condition(**arguments):
    return MetricsCondition.check({"conversation_id": CALL, **arguments})


def errors_of(**arguments):
    with pytest.raises(InvalidMetricError) as caught:
        condition(**arguments)
    return [error.field for error in caught.value.errors]


def found(*labels):
    return [metric(label) for label in labels]


@pytest.mark.parametrize(
    ("asked", "there", "met"),
    [
        ({}, [], False),
        ({}, ["a"], True),
        ({"min_count": 2}, ["a"], False),
        ({"min_count": 2}, ["a", "b"], True),
        ({"labels": ["a", "b"]}, ["a"], False),
        ({"labels": ["a", "b"]}, ["a", "b"], True),
        ({"labels": ["a", "b"]}, ["b", "c", "a"], True),
        ({"labels": ["a"]}, ["b", "c"], False),
        ({"labels": ["a"]}, ["A", "ä"], False),
        ({"labels": ["a", "b"], "min_count": 1}, ["a"], False),
        ({"labels": ["a", "b"], "min_count": 2}, ["a", "b"], True),
    ],
)
def test_a_wait_is_over_when_all_that_is_asked_for_is_there(asked, there, met):
    assert (condition(**asked).met_by(found(*there)) is not None) == met


def test_only_the_metrics_that_were_asked_for_are_given_and_sorted_by_label():
    assert condition(labels=["b", "a"]).met_by(found("c", "b", "a")) == found("a", "b")
    assert condition().met_by(found("c", "b", "a")) == found("a", "b", "c")


@pytest.mark.parametrize(
    ("updated_at", "met"),
    [
        (NOON, True),
        (NOON + timedelta(microseconds=1), True),
        (NOON - timedelta(microseconds=1), False),
        (NOON.astimezone(timezone(timedelta(hours=-7))), True),
        (NOON - timedelta(days=1), False),
    ],
)
@pytest.mark.parametrize(
    "updated_after", [NOON, "2026-01-02T12:00:00Z", "2026-01-02T13:00:00+01:00", pendulum.instance(NOON)]
)
def test_only_metrics_updated_at_that_time_or_later_count(updated_after, updated_at, met):
    asked = condition(labels=["a"], updated_after=updated_after)
    assert asked.met_by([metric("a", updated_at)]) == ([metric("a", updated_at)] if met else None)


def test_a_stale_metric_is_neither_counted_nor_given():
    stale, fresh = metric("a", NOON - timedelta(1)), metric("b")
    assert condition(updated_after=NOON).met_by([stale, fresh]) == [fresh]
    assert condition(updated_after=NOON, min_count=2).met_by([stale, fresh]) is None
    assert condition(updated_after=NOON, labels=["a", "b"]).met_by([stale, fresh]) is None


conditions = st.builds(
    lambda labels, count, updated_after: condition(
        labels=labels, min_count=min(count, len(labels or LABELS)), updated_after=updated_after
    ),
    st.none() | st.lists(st.sampled_from(LABELS), min_size=1, unique=True),
    st.integers(1, 4),
    st.none() | st.integers(-2, 2).map(lambda hours: NOON + timedelta(hours=hours)),
)
metrics = st.lists(
    st.builds(
        metric, st.sampled_from(LABELS), st.integers(-3, 3).map(lambda hours: NOON + timedelta(hours=hours))
    ),
    unique_by=lambda each: each["label"],
)


def reference(asked, there):
    """Say once more, in other words, when a wait is over and with what."""
    kept = {}
    for each in there:
        fresh = (
            asked.updated_after is None or datetime.fromisoformat(each["updatedAt"]) >= asked.updated_after
        )
        if fresh and (asked.labels is None or each["label"] in asked.labels):
            kept[each["label"]] = each
    over = len(kept) >= asked.min_count and (asked.labels is None or asked.labels == kept.keys())
    return [kept[label] for label in sorted(kept)] if over else None


@given(conditions, metrics)
def test_a_wait_is_over_exactly_when_its_rule_says_so(asked, there):
    assert asked.met_by(there) == reference(asked, there)


@given(conditions, metrics, st.randoms())
def test_the_order_of_the_answer_does_not_matter(asked, there, random):
    shuffled = random.sample(there, len(there))
    assert asked.met_by(shuffled) == asked.met_by(there)


@given(conditions, metrics, metrics)
def test_a_wait_that_is_over_stays_over_when_metrics_are_added(asked, there, added):
    before = asked.met_by(there)
    labels = {each["label"] for each in there}
    after = asked.met_by([*there, *(each for each in added if each["label"] not in labels)])
    if before is not None:
        assert after is not None
        assert all(each in after for each in before)


@given(conditions, metrics)
def test_what_is_given_is_a_part_of_what_is_there(asked, there):
    given_back = asked.met_by(there) or []
    assert all(each in there for each in given_back)
    assert all(asked.labels is None or each["label"] in asked.labels for each in given_back)


@given(conditions, metrics)
def test_a_condition_made_again_from_its_json_decides_the_same(asked, there):
    again = MetricsCondition.check(json.loads(json.dumps(asked.to_json())))
    assert again == asked
    assert again.met_by(there) == asked.met_by(there)


def test_a_condition_is_json_with_the_labels_in_a_stable_order():
    asked = condition(labels={"b", "a"}, updated_after=pendulum.instance(NOON))
    assert asked.to_json() == {
        "conversation_id": CALL,
        "labels": ["a", "b"],
        "min_count": 1,
        "updated_after": "2026-01-02T12:00:00+00:00",
    }
    assert condition().to_json() == {
        "conversation_id": CALL,
        "labels": None,
        "min_count": 1,
        "updated_after": None,
    }


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"conversation_id": "../x"}, ["conversation_id"]),
        ({"labels": "a"}, ["labels"]),
        ({"labels": []}, ["labels"]),
        ({"labels": [["a"]]}, ["labels"]),
        ({"min_count": 0}, ["min_count"]),
        ({"min_count": True}, ["min_count"]),
        ({"min_count": "2"}, ["min_count"]),
        ({"updated_after": "soon"}, ["updated_after"]),
        ({"updated_after": datetime(2026, 1, 2)}, ["updated_after"]),
        ({"label": "a"}, ["label"]),
        (
            {"conversation_id": 1, "labels": [1], "min_count": -1, "updated_after": 1},
            ["conversation_id", "labels", "min_count", "updated_after"],
        ),
    ],
)
def test_a_wrong_condition_is_refused_with_every_wrong_field(arguments, fields):
    assert errors_of(**arguments) == fields


@pytest.mark.parametrize("labels", [["a"], ("a",), {"a"}, frozenset({"a"}), ["a", "a"]])
def test_more_metrics_than_labels_can_never_come(labels):
    assert errors_of(labels=labels, min_count=2) == ["min_count"]


def test_a_templated_list_of_labels_may_turn_out_as_long_as_it_likes():
    MetricsCondition.check_literals(
        {"conversation_id": CALL, "labels": "{{ params.labels }}", "min_count": 50, "updated_after": None}
    )


def test_labels_select_and_sort_metrics():
    there = [metric("b"), metric("a", number=2), metric("a", number=1), metric("c")]
    assert with_labels(there, {"a", "b"}) == [there[2], there[1], there[0]]
    assert with_labels(there, None) == [there[2], there[1], there[0], there[3]]
    assert with_labels(there, {"x"}) == []
    assert MetricsSelection.check({"conversation_id": CALL}).labels is None


ORIGIN = {"service": "Zelto", "method": "GET", "path": "/"}


def status_error(status):
    return status_error_class(status)("no", **ORIGIN, status_code=status)


PASSING = [
    APIConnectionError("no", **ORIGIN),
    APITimeoutError("no", **ORIGIN),
    APIResponseValidationError("no", **ORIGIN),
    *map(status_error, (408, 429, 500, 502, 503, 504, 599)),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_a_passing_failure_keeps_a_wait_alive_until_there_were_too_many_in_a_row(error):
    failures = Failures(limit=3, poke_interval=0.5)
    assert failures.pause_after(error) is not None
    assert failures.pause_after(error) is not None
    assert failures.pause_after(error) is None


@pytest.mark.parametrize("answer", [lambda f: f.forget(), lambda f: f.pause_after(status_error(404))])
def test_an_answer_starts_the_count_of_failures_anew(answer):
    failures = Failures(limit=2, poke_interval=1)
    for _ in range(10):
        assert failures.pause_after(PASSING[0]) is not None
        answer(failures)
    assert failures.in_a_row == 0


@pytest.mark.parametrize("status", [400, 401, 403, 405, 422])
def test_a_refusal_ends_a_wait_at_once(status):
    assert Failures(limit=10, poke_interval=1).pause_after(status_error(status)) is None


def test_a_call_that_is_not_there_yet_is_asked_for_again_at_the_usual_interval():
    failures = Failures(limit=1, poke_interval=7)
    error: APIError = NotFoundError("no", **ORIGIN, status_code=404)
    assert [failures.pause_after(error) for _ in range(100)] == [7] * 100


def test_failures_are_followed_by_longer_and_longer_pauses_up_to_a_minute():
    failures = Failures(limit=1000, poke_interval=0.1)
    pauses = [failures.pause_after(PASSING[0]) for _ in range(30)]
    for number, pause in enumerate(pauses, start=1):
        full = min(2**number, 60)
        assert full / 2 <= pause <= full
    assert len(set(pauses)) > 1


def test_a_pause_after_a_failure_is_never_shorter_than_the_poke_interval():
    failures = Failures(limit=100, poke_interval=300)
    assert {failures.pause_after(PASSING[0]) for _ in range(50)} == {300}


@pytest.mark.parametrize(("asked", "pause"), [(5, 10), (300, 300), (10_000_000, 3600)])
def test_a_wait_leaves_the_service_alone_for_as_long_as_it_asked_up_to_an_hour(asked, pause):
    error = status_error_class(429)("no", **ORIGIN, status_code=429, retry_after=asked)
    assert Failures(limit=3, poke_interval=10).pause_after(error) == pause


def test_a_wait_that_may_fail_thousands_of_times_does_so():
    failures = Failures(limit=10_000, poke_interval=60)
    assert None not in [failures.pause_after(PASSING[0]) for _ in range(5_000)]
