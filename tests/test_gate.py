from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_zelto.exceptions import InvalidMetricError
from airflow_provider_zelto.gate import WORST_CALLS, Gate, explain, explain_condition
from airflow_provider_zelto.samples import Sample, sample_of
from tests.answers import CALL, METRIC

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
CALLS = [str(UUID(int=number)) for number in range(1, 31)]


def gate(**arguments):
    return Gate.check({"metrics": [], **arguments})


def sample(call=CALLS[0], label="a", verdict=None, score=None, updated_at=NOON):
    return Sample(call, label, verdict, score, updated_at)


def judge(samples, calls=None, **arguments):
    if calls is not None:
        arguments["expected_calls"] = calls
    return gate(**arguments).judge(samples, calls)


def holds(report):
    return {condition["condition"]: condition["holds"] for condition in report["conditions"]}


def condition(report, name):
    [found] = [condition for condition in report["conditions"] if condition["condition"] == name]
    return found


def refusal(**arguments):
    with pytest.raises(InvalidMetricError) as caught:
        Gate.check(arguments)
    return caught.value


PASS, FAIL = {"verdict": "pass"}, {"verdict": "fail"}


def verdicts(passes, fails):
    given = [PASS] * passes + [FAIL] * fails
    return [sample(call, **verdict) for call, verdict in zip(CALLS, given, strict=False)]


def scores(*given):
    return [sample(call, score=score) for call, score in zip(CALLS, given, strict=False)]


@pytest.mark.parametrize(
    ("samples", "arguments", "asked", "found", "missed_by"),
    [
        (verdicts(9, 1), {"min_pass_rate": 0.9}, 0.9, 0.9, None),
        (verdicts(8, 2), {"min_pass_rate": 0.9}, 0.9, 0.8, 0.1),
        (verdicts(19, 1), {"min_pass_rate": 0.95}, 0.95, 0.95, None),
        (verdicts(0, 1), {"min_pass_rate": 0}, 0, 0, None),
        (verdicts(1, 3), {"max_fail_count": 3}, 3, 3, None),
        (verdicts(1, 3), {"max_fail_count": 1}, 1, 3, 2),
        (scores(70, 80), {"min_mean_score": 75}, 75, 75, None),
        (scores(70, 80), {"min_mean_score": 80.5}, 80.5, 75, 5.5),
        (scores(70.1, 70.1, 70.1), {"min_mean_score": 70.1}, 70.1, 70.1, None),
        (scores(70, 80), {"min_score": 70}, 70, 70, None),
        (scores(70, 80), {"min_score": 72.5}, 72.5, 70, 2.5),
        (verdicts(2, 0), {"min_pass_rate": 1, "min_samples": 3}, 3, 2, 1),
    ],
)
def test_a_condition_says_what_was_asked_what_was_found_and_by_how_much_it_was_missed(
    samples, arguments, asked, found, missed_by
):
    report = judge(samples, **arguments)
    told = condition(report, list(arguments)[-1])
    assert (told["asked"], told["found"], told["missed_by"]) == (asked, found, missed_by)
    assert told["holds"] == report["passed"] == (missed_by is None)


def test_all_conditions_must_hold():
    samples = [sample(**PASS, score=70), sample(CALLS[1], **FAIL, score=90)]
    report = judge(samples, min_pass_rate=0.5, max_fail_count=0, min_mean_score=80, min_score=71)
    assert holds(report) == {
        "min_pass_rate": True,
        "max_fail_count": False,
        "min_mean_score": True,
        "min_score": False,
        "min_samples": True,
        "max_without_value": True,
    }
    assert report["passed"] is False


class TestMissingData:
    @pytest.mark.parametrize(
        "asked", [{"min_pass_rate": 0}, {"max_fail_count": 9}, {"min_mean_score": 0}, {"min_score": 0}]
    )
    def test_no_metrics_at_all_pass_no_gate(self, asked):
        report = judge([], **asked)
        told = condition(report, next(iter(asked)))
        assert (told["holds"], told["found"], told["missed_by"]) == (False, None, None)
        assert holds(report)["min_samples"] is False

    @pytest.mark.parametrize(
        ("asked", "given"),
        [
            ({"min_pass_rate": 0}, {"score": 100}),
            ({"max_fail_count": 9}, {"score": 100}),
            ({"min_mean_score": 0}, PASS),
            ({"min_score": 0}, PASS),
        ],
    )
    def test_metrics_without_the_value_in_question_break_a_gate_and_are_named(self, asked, given):
        good = [sample(call, **PASS, score=100) for call in CALLS[:9]]
        report = judge([*good, sample(CALLS[9], "b", **given)], **asked)
        assert [name for name, held in holds(report).items() if not held] == ["max_without_value"]
        assert f"'b' of call {CALLS[9]}" in explain(report)
        assert judge([*good, sample(CALLS[9], "b", **given)], max_without_value=1, **asked)["passed"]
        assert judge([*good, sample(CALLS[9], "b", **given)], max_without_value=None, **asked)["passed"]

    def test_a_value_that_no_condition_needs_may_be_missing(self):
        report = judge(verdicts(3, 0), min_pass_rate=1)
        assert report["passed"]
        assert (report["without_verdict"], report["without_score"]) == (0, 3)

    def test_samples_are_those_with_the_value_that_is_scarcest(self):
        samples = [sample(call, **PASS) for call in CALLS[:9]] + [sample(CALLS[9], score=100)]
        asked = {"min_pass_rate": 1, "min_score": 1, "max_without_value": None}
        assert condition(judge(samples, **asked), "min_samples")["found"] == 1
        assert not judge(samples, min_samples=2, **asked)["passed"]

    def test_a_label_without_any_metric_breaks_a_gate(self):
        report = judge([sample(label="a", **PASS)], labels=["b", "a"], min_pass_rate=1)
        told = condition(report, "labels")
        assert (told["asked"], told["found"], told["missed_by"]) == (["a", "b"], ["a"], ["b"])
        assert not report["passed"]

    def test_metrics_that_are_too_old_are_counted_and_left_out(self):
        old = sample(CALLS[1], **FAIL, updated_at=NOON - timedelta(microseconds=1))
        report = judge([sample(**PASS), old], max_fail_count=0, updated_after=NOON)
        assert report["passed"]
        assert (report["samples"], report["outdated"]) == (1, 1)
        assert not judge([old], max_fail_count=9, updated_after=NOON)["passed"]

    def test_a_call_without_metrics_breaks_a_gate_unless_min_coverage_allows_it(self):
        report = judge(verdicts(9, 0), CALLS[:10], min_pass_rate=1)
        assert [name for name, held in holds(report).items() if not held] == ["min_coverage"]
        told = condition(report, "min_coverage")
        assert (told["asked"], told["found"], told["missed_by"]) == (1, 0.9, 0.1)
        assert (report["calls"], report["covered"], report["missing_calls"]) == (10, 9, [CALLS[9]])
        assert CALLS[9] in explain(report)
        assert judge(verdicts(9, 0), CALLS[:10], min_pass_rate=1, min_coverage=0.9)["passed"]

    def test_no_calls_cannot_be_covered(self):
        assert condition(judge(verdicts(1, 0), [], min_coverage=0), "min_coverage")["holds"] is False

    def test_a_call_is_covered_only_by_all_labels_that_are_new_enough(self):
        samples = [
            sample(CALLS[0], "a", **PASS),
            sample(CALLS[0], "b", **PASS),
            sample(CALLS[1], "a", **PASS),
            sample(CALLS[2], "a", **PASS),
            sample(CALLS[2], "b", **PASS, updated_at=NOON - timedelta(days=1)),
        ]
        report = judge(samples, CALLS[:3], labels=["a", "b"], min_coverage=0, updated_after=NOON)
        assert report["missing_calls"] == CALLS[1:3]

    def test_no_more_than_some_of_the_missing_calls_are_named(self):
        report = judge(verdicts(1, 0), CALLS, min_coverage=0.5)
        assert report["missing_calls"] == CALLS[1:21]
        assert f"{CALLS[20]} and 9 more" in explain(report)


def test_of_a_calls_metrics_of_one_label_the_one_updated_last_counts():
    newer = sample(**PASS, updated_at=NOON + timedelta(seconds=1))
    for samples in ([sample(**FAIL), newer], [newer, sample(**FAIL)]):
        report = judge(samples, max_fail_count=0)
        assert report["passed"]
        assert report["samples"] == 1
    assert not judge([newer, sample(label="b", **FAIL)], max_fail_count=0)["passed"]


@pytest.mark.parametrize("narrowed", [{"label": "a"}, {"labels": ["a"]}])
def test_only_the_labels_that_are_asked_for_count(narrowed):
    report = judge([sample(**PASS), sample(label="b", **FAIL)], max_fail_count=0, **narrowed)
    assert report["passed"]
    assert report["samples"] == 1


class TestTheWorstCalls:
    def test_are_those_with_the_most_fails_and_then_the_lowest_scores(self):
        samples = [
            sample(CALLS[0], "a", **PASS, score=100),
            sample(CALLS[1], "a", **FAIL, score=60),
            sample(CALLS[2], "a", **FAIL, score=50),
            sample(CALLS[3], "a", **FAIL),
            sample(CALLS[3], "b", **FAIL, score=90),
            sample(CALLS[4], "a", **PASS, score=10),
        ]
        report = judge(samples, max_fail_count=0, min_score=55, max_without_value=None)
        assert report["worst_calls"] == [
            {"conversation_id": CALLS[3], "failed": ["a", "b"], "lowest_score": 90},
            {"conversation_id": CALLS[2], "failed": ["a"], "lowest_score": 50},
            {"conversation_id": CALLS[1], "failed": ["a"], "lowest_score": 60},
            {"conversation_id": CALLS[4], "failed": [], "lowest_score": 10},
        ]
        assert f"Worst calls: {CALLS[3]} (fail in 'a', 'b', lowest score 90); {CALLS[2]}" in explain(report)

    def test_are_judged_only_by_what_the_conditions_mind(self):
        samples = [sample(CALLS[0], **FAIL, score=90), sample(CALLS[1], **PASS, score=10)]
        by_verdict = judge(samples, max_fail_count=0)["worst_calls"]
        assert [call["conversation_id"] for call in by_verdict] == CALLS[:1]
        by_score = judge(samples, min_mean_score=80)["worst_calls"]
        assert by_score == [{"conversation_id": CALLS[1], "failed": [], "lowest_score": 10}]

    def test_are_no_more_than_some(self):
        assert len(judge(verdicts(0, 30), max_fail_count=0)["worst_calls"]) == WORST_CALLS


def test_what_does_not_hold_is_told_in_words():
    report = judge(verdicts(8, 2), min_pass_rate=0.9, min_samples=5, max_fail_count=4)
    assert explain(report).startswith(
        "min_pass_rate: asked 0.9, found 0.8, missed by 0.1 (8 of 10 verdicts are pass). Worst calls: "
    )
    assert explain_condition(condition(report, "min_samples")) == (
        "min_samples: asked 5, found 10 (10 metrics, 10 with a verdict, 0 with a score)"
    )
    [*_, empty] = explain(judge([], min_score=1)).split("min_score: ")
    assert empty.startswith("asked 1, found nothing (0 scores); min_samples: asked 1, found 0, missed by 1")


def metric(**changes):
    return {**METRIC, "label": "a", "score": 1, **changes}


class TestMetricsAsXComsGiveThem:
    @pytest.mark.parametrize(
        "given",
        [
            metric(),
            [metric()],
            (metric(),),
            [[metric()]],
            [[metric()], []],
            iter([metric()]),
            iter([iter([metric()])]),
        ],
        ids=["one", "list", "tuple", "lists", "an empty one", "iterator", "iterators"],
    )
    def test_a_metric_or_lists_of_them_are_taken(self, given):
        assert gate(metrics=given, min_score=0).metrics == (
            Sample(CALL, "a", None, 1, datetime(2026, 1, 2, 12, tzinfo=UTC)),
        )

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("x", "render_template_as_native_obj=True"),
            (5, "a metric, or a list of metrics"),
            ([metric(), "x"], "a metric, or a list of metrics"),
            ([None], "a metric, or a list of metrics"),
            ([[[[metric()]]]], "a metric, or a list of metrics"),
            ({"submitted": 5, "rejected": 0}, "number 1 is none, it has no 'conversationId'"),
            ([metric(), metric(verdict="good")], "number 2 is none, one of pass, fail"),
            ([metric(score=101)], "a number from 0 to 100"),
            ([metric(score=True)], "a number from 0 to 100"),
            ([metric(score=float("nan"))], "a number from 0 to 100"),
            ([metric(conversationId="x")], "a UUID"),
            ([metric(label="")], "text of 1 to 255 characters"),
            ([metric(updatedAt="soon")], "'soon' is not a point in time"),
            ([metric(updatedAt=5)], "number 1 is none"),
        ],
        ids=repr,
    )
    def test_anything_else_is_refused(self, given, words):
        error = refusal(metrics=given, min_score=0)
        assert [bad.field for bad in error.errors] == ["metrics"]
        assert words in str(error)

    def test_fields_may_be_absent_or_null(self):
        assert sample_of({**METRIC, "label": "a"})[2:4] == (None, None)
        assert sample_of({**METRIC, "label": "a", "verdict": None, "score": None})[2:4] == (None, None)


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"metrics": None, "min_score": 1}, ["metrics or conversation_ids"]),
        ({"conversation_ids": [CALL], "min_score": 1}, ["metrics or conversation_ids"]),
        ({"label": "a", "labels": ["b"], "min_score": 1}, ["label or labels"]),
        ({}, ["conditions"]),
        ({"min_samples": 5, "label": "a"}, ["conditions"]),
        ({"min_coverage": 0.5}, ["min_coverage"]),
        ({"min_pass_rate": 95, "min_score": -1}, ["min_pass_rate", "min_score"]),
        ({"min_mean_score": True, "max_fail_count": 1.5}, ["max_fail_count", "min_mean_score"]),
        ({"max_fail_count": -1}, ["max_fail_count"]),
        ({"min_score": 1, "min_samples": 0, "max_without_value": -1}, ["max_without_value", "min_samples"]),
        ({"min_score": "high"}, ["min_score"]),
        ({"min_score": 1, "expected_calls": ["x"]}, ["expected_calls"]),
        ({"min_score": 1, "expected_calls": [CALL], "min_coverage": 1.5}, ["min_coverage"]),
        ({"min_score": 1, "on_failure": "warn", "updated_after": "soon"}, ["on_failure", "updated_after"]),
        ({"min_score": 1, "labels": [], "label": None}, ["labels"]),
    ],
)
def test_a_gate_that_cannot_be_is_refused(arguments, fields):
    error = refusal(**{"metrics": [], **arguments})
    assert sorted(bad.field for bad in error.errors) == fields


def test_calls_that_are_read_are_those_that_are_expected():
    error = refusal(conversation_ids=[CALL], expected_calls=[CALL], min_score=1)
    assert [bad.field for bad in error.errors] == ["expected_calls"]
    assert Gate.check({"conversation_ids": [], "min_coverage": 0.5}).conversation_ids == ()


def test_limits_may_be_the_text_of_templates():
    rendered = gate(min_pass_rate="0.9", max_fail_count="3", min_score="70", min_samples="5")
    assert (rendered.min_pass_rate, rendered.max_fail_count, rendered.min_samples) == (0.9, 3, 5)
    assert rendered.min_score == 70


SAMPLES = st.lists(
    st.builds(
        sample,
        st.sampled_from(CALLS[:6]),
        st.sampled_from("abc"),
        st.sampled_from([None, "pass", "fail"]),
        st.none() | st.integers(0, 100) | st.floats(0, 100),
        st.integers(-2, 2).map(lambda hours: NOON + timedelta(hours=hours)),
    ),
    max_size=25,
)
SHARES = st.none() | st.floats(0, 1) | st.fractions(0, 1, max_denominator=20).map(float)
CONDITIONS = ("min_pass_rate", "max_fail_count", "min_mean_score", "min_score", "min_coverage")
LIMITS = st.fixed_dictionaries(
    {
        "min_pass_rate": SHARES,
        "max_fail_count": st.none() | st.integers(0, 5),
        "min_mean_score": st.none() | st.integers(0, 100),
        "min_score": st.none() | st.integers(0, 100),
        "min_samples": st.integers(1, 5),
        "max_without_value": st.none() | st.integers(0, 5),
        "labels": st.none() | st.sets(st.sampled_from("abc"), min_size=1).map(sorted),
        "updated_after": st.none() | st.just(NOON),
        "min_coverage": SHARES,
    }
).filter(lambda limits: any(limits[name] is not None for name in CONDITIONS))
EXPECTED = st.lists(st.sampled_from(CALLS[:8]), min_size=1, unique=True)


def passes(samples, calls, limits):
    """Judge as one would by hand, on paper."""
    latest = {}
    for each in sorted(samples, key=lambda each: each.updated_at):
        latest[each.call, each.label] = each
    counted = [
        each
        for each in latest.values()
        if each.label in (limits["labels"] or "abc")
        and (limits["updated_after"] is None or each.updated_at >= limits["updated_after"])
    ]
    needs_verdicts = limits["min_pass_rate"] is not None or limits["max_fail_count"] is not None
    needs_scores = limits["min_mean_score"] is not None or limits["min_score"] is not None
    given_verdicts = [each.verdict for each in counted if each.verdict]
    given_scores = [Fraction(each.score) for each in counted if each.score is not None]
    fewest = [len(given_verdicts)] * needs_verdicts + [len(given_scores)] * needs_scores + [len(counted)]
    if min(fewest) < limits["min_samples"]:
        return False
    lacking = [
        each
        for each in counted
        if (needs_verdicts and not each.verdict) or (needs_scores and each.score is None)
    ]
    if limits["max_without_value"] is not None and len(lacking) > limits["max_without_value"]:
        return False
    if limits["labels"] and {each.label for each in counted} != set(limits["labels"]):
        return False
    covered = [
        call
        for call in calls
        if (found := {each.label for each in counted if each.call == call})
        and found >= set(limits["labels"] or ())
    ]
    share = 1.0 if limits["min_coverage"] is None else limits["min_coverage"]
    fails = given_verdicts.count("fail")
    return (
        len(covered) / len(calls) >= share
        and (
            limits["min_pass_rate"] is None
            or given_verdicts.count("pass") / len(given_verdicts) >= limits["min_pass_rate"]
        )
        and (limits["max_fail_count"] is None or fails <= limits["max_fail_count"])
        and (limits["min_score"] is None or min(given_scores) >= limits["min_score"])
        and (
            limits["min_mean_score"] is None
            or float(sum(given_scores) / len(given_scores)) >= limits["min_mean_score"]
        )
    )


@given(SAMPLES, EXPECTED, LIMITS)
def test_a_gate_decides_as_one_would_by_hand(samples, calls, limits):
    seen = {(each.call, each.label, each.updated_at): each for each in samples}
    samples = list(seen.values())
    report = judge(samples, calls, **limits)
    assert report["passed"] == passes(samples, calls, limits)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["passed"] == all(condition["holds"] for condition in report["conditions"])
    for told in report["conditions"]:
        assert told["missed_by"] is None or not told["holds"]
        assert isinstance(explain_condition(told), str)


@given(SAMPLES, EXPECTED, LIMITS, st.randoms(use_true_random=False))
def test_the_order_of_metrics_and_calls_changes_nothing(samples, calls, limits, random):
    samples = list({(each.call, each.label): each for each in samples}.values())
    shuffled = random.sample(samples, len(samples))
    one, other = judge(samples, calls, **limits), judge(shuffled, calls, **limits)
    assert one == other


HARDER = {"min_pass_rate": 0.1, "max_fail_count": -1, "min_mean_score": 1, "min_score": 1, "min_samples": 1}


@given(SAMPLES, EXPECTED, LIMITS, st.sampled_from(sorted(HARDER)))
def test_who_asks_for_more_is_never_told_yes_after_a_no(samples, calls, limits, name):
    if limits[name] is None:
        return
    harder = {**limits, name: limits[name] + HARDER[name]}
    if harder["min_pass_rate"] is not None and harder["min_pass_rate"] > 1:
        return
    if max(harder["min_mean_score"] or 0, harder["min_score"] or 0) > 100 or harder["max_fail_count"] == -1:
        return
    assert judge(samples, calls, **limits)["passed"] >= judge(samples, calls, **harder)["passed"]


@given(st.integers(1, 200), st.data())
def test_a_pass_rate_is_not_missed_for_the_sake_of_rounding(count, data):
    passed = data.draw(st.integers(0, count))
    calls = [str(UUID(int=number)) for number in range(count)]
    samples = [sample(call, **(PASS if n < passed else FAIL)) for n, call in enumerate(calls)]
    assert judge(samples, min_pass_rate=passed / count)["passed"]
    if passed < count:
        assert not judge(samples, min_pass_rate=(passed + 1) / count)["passed"]


@given(st.floats(0, 100), st.integers(1, 30))
@example(50.3, 3)
def test_a_mean_of_equal_scores_is_that_score(score, count):
    assert condition(judge(scores(*[score] * count), min_mean_score=0), "min_mean_score")["found"] == score


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_a_mean_lies_between_the_lowest_and_the_highest_score(given_scores):
    found = condition(judge(scores(*given_scores), min_mean_score=0), "min_mean_score")["found"]
    assert min(given_scores) <= found <= max(given_scores)
