from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_zelto.exceptions import InvalidMetricError, SourceMetricError
from airflow_provider_zelto.mapping import (
    MetricMapping,
    SourceValue,
    check_mappings,
)
from airflow_provider_zelto.models import NOTE_MAX_LENGTH
from tests.answers import CALL

METRIC_ID = "5f0c1a2e-9b7d-4c1b-8a53-0e6f2d9c7b10"


def mapping(**rules):
    return MetricMapping.check({"source": "csat", "label": "CSAT", **rules})


def body_of(rules, *values):
    """Give what is sent for these values, or for these whole ``SourceValue``."""
    whole = [value if isinstance(value, SourceValue) else SourceValue(value) for value in values]
    return mapping(**rules).apply(CALL, whole).body()


def score_of(rules, *values):
    return body_of(rules, *values)["score"]


def verdict_of(rules, *values):
    return body_of(rules, *values)["verdict"]


def complaint(rules, *values):
    with pytest.raises(SourceMetricError) as caught:
        body_of(rules, *values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("low", "high", "value", "score"),
    [
        (0, 1, 0, 0),
        (0, 1, 1, 100),
        (0, 1, 0.29, 29),
        (0, 1, 0.07, 7),
        (1, 5, 4, 75),
        (-10, 10, 0, 50),
        (0, 100, 33.3, 33.3),
        (10, 0, 0, 100),
        (10, 0, 10, 0),
        (1, 0, 0.9, 10),
        (0, 3, 1, 33.333333333),
        (0.1, 0.2, 0.15, 50),
        (-1e300, 1e300, 0, 50),
    ],
)
def test_a_score_is_the_place_of_a_value_in_its_range(low, high, value, score):
    assert score_of({"score_range": (low, high)}, value) == score
    assert score_of({"score_range": [low, high]}, value) == score


@pytest.mark.parametrize(
    ("value", "clamped"), [(1.5, 100), (-0.5, 0), (1e308, 100), (-1e308, 0), (math.nextafter(1, 2), 100)]
)
def test_a_value_outside_its_range_is_an_error_unless_it_may_be_clamped(value, clamped):
    message = complaint({"score_range": (0, 1)}, value)
    assert message == (
        f"Metric 'csat', to be 'CSAT' in Zelto, is {value!r}, outside its score_range (0.0, 1.0); "
        "clamp=True takes it."
    )
    assert score_of({"score_range": (0, 1), "clamp": True}, value) == clamped
    assert score_of({"score_range": (1, 0), "clamp": True}, value) == 100 - clamped


@pytest.mark.parametrize("value", [True, False, "0.5", math.nan, math.inf, 10**400, [0.5], {"a": 1}])
@pytest.mark.parametrize("clamp", [True, False])
def test_only_a_number_gives_a_score(value, clamp):
    message = complaint({"score_range": (0, 1), "clamp": clamp}, value)
    assert f"is {value!r:.100}, which is not a number" in message


def test_a_number_is_not_taken_for_a_score_by_itself():
    assert "score" not in body_of({"pass_when": {">=": 50}}, 88)


@pytest.mark.parametrize(
    ("pass_when", "passing", "failing"),
    [
        ({">=": 0.8}, [0.8, 1, 5], [0.79, 0, -1]),
        ({">": 0.8}, [0.81], [0.8, 0]),
        ({"<=": 2}, [2, 1.9, -7], [2.1]),
        ({"<": 2}, [1.9], [2, 3]),
        ({"==": 1}, [1, 1.0], [2, 0]),
        ({"!=": 1}, [2, 0], [1, 1.0]),
        ({"==": "yes"}, ["yes"], ["no", "Yes", "yes "]),
        ({"!=": "no"}, ["yes"], ["no"]),
        ({"==": False}, [False], [True]),
        ({"in": ["resolved", "closed"]}, ["resolved", "closed"], ["open", ""]),
        ({"in": ("resolved",)}, ["resolved"], ["open"]),
        ({"not_in": ["open"]}, ["resolved"], ["open"]),
        ({"in": [1, 2]}, [1, 2.0], [3]),
        ({"in": [True, "yes"]}, [True, "yes"], [False, "no"]),
        ({">=": 1, "<": 3}, [1, 2.9], [0.9, 3]),
        ({">=": 1, "not_in": [2]}, [1, 3], [2, 0]),
        (True, [True], [False]),
        (False, [False], [True]),
    ],
)
def test_a_verdict_is_whether_a_value_is_as_it_has_to_be(pass_when, passing, failing):
    assert [verdict_of({"pass_when": pass_when}, value) for value in passing] == ["pass"] * len(passing)
    assert [verdict_of({"pass_when": pass_when}, value) for value in failing] == ["fail"] * len(failing)


@pytest.mark.parametrize(
    ("pass_when", "value", "expected"),
    [
        ({">=": 0.8}, "0.9", "a number"),
        ({">=": 0.8}, True, "a number"),
        ({"<": 0.8}, False, "a number"),
        ({"<": 0.8}, math.nan, "a number"),
        ({"==": 1}, True, "a number"),
        ({"!=": 1}, True, "a number"),
        ({"==": True}, 1, "a boolean"),
        (True, 1, "a boolean"),
        (True, "True", "a boolean"),
        (False, 0, "a boolean"),
        ({"in": ["resolved"]}, 1, "text"),
        ({"not_in": ["open"]}, 1, "text"),
        ({"in": ["yes", 1]}, True, "a number or text"),
        ({"in": ["resolved"]}, {"a": 1}, "text"),
        ({"not_in": [3]}, 10**400, "a number"),
        ({"not_in": [3]}, math.nan, "a number"),
        ({">=": 5, "in": ["x"]}, 1, "text"),
    ],
)
def test_a_value_of_another_kind_than_it_is_compared_to_gives_no_verdict(pass_when, value, expected):
    message = complaint({"pass_when": pass_when}, value)
    assert f"is {value!r:.100}, which is not {expected}." in message


def test_a_mapping_may_give_a_score_and_a_verdict():
    rules = {"score_range": (0, 1), "pass_when": {">=": 0.8}}
    assert body_of(rules, 0.75) == {"label": "CSAT", "score": 75, "verdict": "fail"}


def test_everything_that_zelto_takes_is_filled():
    value = SourceValue(4, "Friendly throughout", "out-1")
    assert body_of(
        {"score_range": (1, 5), "pass_when": {">=": 4}, "metric_id": METRIC_ID.upper()}, value
    ) == {
        "label": "CSAT",
        "score": 75,
        "verdict": "pass",
        "note": "Friendly throughout",
        "metricId": METRIC_ID,
        "externalId": "out-1",
    }


@pytest.mark.parametrize("why", [None, "", 5, {"text": "no text"}, ["a"]])
def test_what_is_no_reasoning_is_no_note(why):
    assert "note" not in body_of({"pass_when": True}, SourceValue(True, why))


@given(st.text(max_size=20), st.integers(NOTE_MAX_LENGTH - 25, NOTE_MAX_LENGTH + 25))
def test_a_note_is_the_reasoning_cut_between_two_characters(end, length):
    reasoning = "🙂" * (length - len(end)) + end
    note = body_of({"pass_when": True}, SourceValue(True, reasoning))["note"]
    assert len(note) == min(length, 5000)
    assert note == reasoning[:5000]


def test_a_note_as_long_as_zelto_takes_it_stays_whole():
    for character in ("a", "é", "漢", "🙂"):
        assert body_of({"pass_when": True}, SourceValue(True, character * 5000))["note"] == character * 5000
        assert body_of({"pass_when": True}, SourceValue(True, character * 5001))["note"] == character * 5000


SEVERAL = [SourceValue(value, f"why {value}", f"id {value}") for value in (0.5, 0.2, 0.9, 0.4)]


@pytest.mark.parametrize(
    ("aggregate", "score", "decisive"),
    [("mean", 50, 0.4), ("min", 20, 0.2), ("max", 90, 0.9), ("last", 40, 0.4)],
)
def test_several_values_become_one_as_the_mapping_says(aggregate, score, decisive):
    body = body_of({"score_range": (0, 1), "aggregate": aggregate}, *SEVERAL)
    assert body == {
        "label": "CSAT",
        "score": score,
        "note": f"why {decisive}",
        "externalId": f"id {decisive}",
    }


@pytest.mark.parametrize(
    ("aggregate", "limit", "verdict", "decisive"),
    [
        ("all_pass", 0.1, "pass", 0.4),
        ("all_pass", 0.3, "fail", 0.2),
        ("any_pass", 0.6, "pass", 0.9),
        ("any_pass", 0.3, "pass", 0.5),
        ("any_pass", 1, "fail", 0.4),
        ("mean", 0.5, "pass", 0.4),
        ("min", 0.5, "fail", 0.2),
        ("max", 0.9, "pass", 0.9),
        ("last", 0.5, "fail", 0.4),
    ],
)
def test_several_values_give_one_verdict_and_the_reasoning_behind_it(aggregate, limit, verdict, decisive):
    body = body_of({"pass_when": {">=": limit}, "aggregate": aggregate}, *SEVERAL)
    assert body == {
        "label": "CSAT",
        "verdict": verdict,
        "note": f"why {decisive}",
        "externalId": f"id {decisive}",
    }


@pytest.mark.parametrize(
    ("pass_when", "values", "all_pass", "any_pass"),
    [
        (True, [True, True], "pass", "pass"),
        (True, [True, False], "fail", "pass"),
        (False, [True, True], "fail", "fail"),
        ({"in": ["resolved"]}, ["open", "resolved"], "fail", "pass"),
    ],
)
def test_verdicts_on_several_values_are_joined(pass_when, values, all_pass, any_pass):
    assert verdict_of({"pass_when": pass_when, "aggregate": "all_pass"}, *values) == all_pass
    assert verdict_of({"pass_when": pass_when, "aggregate": "any_pass"}, *values) == any_pass


@pytest.mark.parametrize("count", [2, 3, 7])
def test_several_values_without_an_aggregate_are_an_error_that_says_how_many(count):
    message = complaint({"score_range": (0, 1)}, *[0.5] * count)
    assert f"has {count} values; aggregate says how they become one" in message


@pytest.mark.parametrize("aggregate", ["mean", "min", "max", "last"])
def test_an_aggregate_of_one_value_is_that_value(aggregate):
    assert score_of({"score_range": (0, 1), "aggregate": aggregate}, 0.3) == 30
    assert verdict_of({"pass_when": {"in": ["x"]}, "aggregate": aggregate}, "x") == "pass"


@pytest.mark.parametrize(
    ("aggregate", "values", "expected"),
    [
        ("mean", [1, "2"], "'2', which is not a number"),
        ("min", [True, 1], "True, which is not a number"),
        ("max", [1, math.nan], "nan, which is not a number"),
        ("all_pass", [0, "x"], "'x', which is not a number"),
        ("any_pass", [1, "x"], "'x', which is not a number"),
    ],
)
def test_each_of_several_values_has_to_be_of_the_right_kind(aggregate, values, expected):
    assert expected in complaint({"pass_when": {">=": 1}, "aggregate": aggregate}, *values)


def test_a_mean_is_no_further_off_than_its_last_digit():
    assert score_of({"score_range": (0.1, 1), "aggregate": "mean"}, 0.1, 0.1, 0.1) == 0
    assert score_of({"score_range": (0, 1e308), "aggregate": "mean"}, 1e308, 1e308) == 100


finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = finite | st.integers(-(10**6), 10**6)
anything = st.one_of(
    st.none(), st.booleans(), numbers, st.floats(), st.integers(), st.just(10**400), st.text(max_size=5),
    st.lists(st.text(max_size=3), max_size=2), st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
)  # fmt: skip
orderings = st.dictionaries(
    st.sampled_from([">=", ">", "<=", "<", "==", "!="]), numbers, min_size=1, max_size=2
)
choices = st.dictionaries(
    st.sampled_from(["in", "not_in"]),
    st.lists(numbers | st.booleans() | st.text(max_size=2), min_size=1, max_size=3),
    min_size=1,
)
RULES = st.one_of(
    st.fixed_dictionaries(
        {"score_range": st.tuples(numbers, numbers)},
        optional={
            "pass_when": orderings,
            "clamp": st.booleans(),
            "aggregate": st.sampled_from(["mean", "min", "max", "last"]),
        },
    ),
    st.fixed_dictionaries(
        {"pass_when": st.booleans() | orderings | choices},
        optional={"aggregate": st.sampled_from(["mean", "min", "max", "last", "all_pass", "any_pass"])},
    ),
)
kinds = st.sampled_from([numbers, st.booleans(), st.text(max_size=2), anything])
values = kinds.flatmap(
    lambda kind: st.lists(kind.filter(lambda value: value is not None), min_size=1, max_size=4)
)


@given(RULES, values, st.none() | st.text(max_size=5))
def test_whatever_is_mapped_is_sent_with_a_score_from_0_to_100_or_is_refused(rules, values, why):
    try:
        body = body_of(rules, *(SourceValue(value, why) for value in values))
    except (InvalidMetricError, SourceMetricError):
        return
    assert 0 <= body.get("score", 0) <= 100
    assert body.get("verdict", "pass") in ("pass", "fail")
    assert ("score" in body, "verdict" in body) == ("score_range" in rules, "pass_when" in rules)
    assert json.loads(json.dumps(body, allow_nan=False)) == body


GARBAGE = st.fixed_dictionaries(
    {},
    optional={
        "source": anything,
        "score_range": st.lists(anything, max_size=3) | anything,
        "clamp": anything,
        "pass_when": anything
        | st.dictionaries(
            st.sampled_from([">=", "==", "in"]), anything | st.lists(anything, max_size=2), max_size=2
        ),
        "aggregate": anything,
        "metric_id": anything,
        "surprise": anything,
    },
)


@given(GARBAGE)
def test_whatever_stands_in_a_mapping_is_taken_or_refused(rules):
    try:
        (checked,) = check_mappings([{"source": "csat", "label": "CSAT", **rules}])
    except InvalidMetricError as error:
        named = {bad.field.removeprefix("mappings[0].") for bad in error.errors}
        assert named <= rules.keys() | {"score_range and pass_when"}
        return
    assert checked.score_range or checked.pass_when


ranges = st.tuples(finite, finite).filter(
    lambda ends: ends[0] != ends[1] and math.isfinite(ends[1] - ends[0])
)


@given(ranges, finite)
def test_clamping_gives_each_number_a_score_and_nothing_else_changes(ends, value):
    clamped = score_of({"score_range": ends, "clamp": True}, value)
    assert 0 <= clamped <= 100
    inside = min(ends) <= value <= max(ends)
    if inside:
        assert score_of({"score_range": ends}, value) == clamped
    else:
        assert clamped in (0, 100)
        assert "outside its score_range" in complaint({"score_range": ends}, value)


@given(ranges, finite)
def test_a_range_the_other_way_round_gives_the_other_part_of_100(ends, value):
    low, high = ends
    score = score_of({"score_range": (low, high), "clamp": True}, value)
    inverted = score_of({"score_range": (high, low), "clamp": True}, value)
    assert score + inverted == pytest.approx(100, abs=1e-8)


@given(ranges, finite, finite)
def test_more_of_a_value_never_gives_less_of_a_score(ends, one, other):
    rules = {"score_range": (min(ends), max(ends)), "clamp": True}
    assert score_of(rules, min(one, other)) <= score_of(rules, max(one, other))


@given(ranges, st.lists(finite, min_size=2, max_size=6))
def test_an_aggregate_of_numbers_lies_between_the_least_and_the_greatest(ends, values):
    rules = {"score_range": ends, "clamp": True}
    least, mean, greatest, last = (
        score_of({**rules, "aggregate": aggregate}, *values) for aggregate in ("min", "mean", "max", "last")
    )
    lower, upper = sorted([least, greatest])
    assert lower <= mean <= upper
    assert lower <= last <= upper
    assert least == score_of(rules, min(values))
    assert greatest == score_of(rules, max(values))


@given(st.lists(st.booleans(), min_size=2, max_size=5))
def test_all_and_any_mean_what_they_say(values):
    assert (verdict_of({"pass_when": True, "aggregate": "all_pass"}, *values) == "pass") == all(values)
    assert (verdict_of({"pass_when": True, "aggregate": "any_pass"}, *values) == "pass") == any(values)


def test_a_long_value_is_cut_in_the_error():
    message = complaint({"score_range": (0, 1)}, "x" * 10_000)
    assert len(message) < 250
