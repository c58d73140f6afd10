from __future__ import annotations

import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_zelto.exceptions import InvalidMetricError, SourceMetricError
from airflow_provider_zelto.mapping import SourceValue, check_mappings, map_metrics
from tests.answers import CALL

METRIC_ID = "5f0c1a2e-9b7d-4c1b-8a53-0e6f2d9c7b10"


def errors_in(*mappings, **options):
    with pytest.raises(InvalidMetricError) as caught:
        check_mappings(list(mappings), **options)
    return {error.field: str(error) for error in caught.value.errors}


def good(**rules):
    return {"source": "csat", "label": "CSAT", "score_range": (0, 1), **rules}


@pytest.mark.parametrize(
    ("bad", "field", "words"),
    [
        ({"source": ""}, "source", "text of 1 to 255 characters"),
        ({"source": None}, "source", "text of 1 to 255 characters"),
        ({"label": "x" * 256}, "label", "text of 1 to 255 characters"),
        ({"metric_id": "m"}, "metric_id", "a UUID"),
        ({"score_range": (1, 1)}, "score_range", "the same, or too far apart"),
        ({"score_range": (2**53, 2**53 + 1)}, "score_range", "the same, or too far apart"),
        ({"score_range": (-1e308, 1e308)}, "score_range", "the same, or too far apart"),
        ({"score_range": (0,)}, "score_range", "two numbers (low, high)"),
        ({"score_range": (0, 1, 2)}, "score_range", "two numbers (low, high)"),
        ({"score_range": "01"}, "score_range", "two numbers (low, high)"),
        ({"score_range": {0, 1}}, "score_range", "two numbers (low, high)"),
        ({"score_range": (0, "1")}, "score_range", "two numbers (low, high)"),
        ({"score_range": (False, True)}, "score_range", "two numbers (low, high)"),
        ({"score_range": (0, math.nan)}, "score_range", "two numbers (low, high)"),
        ({"score_range": (0, math.inf)}, "score_range", "two numbers (low, high)"),
        ({"score_range": (0, 10**400)}, "score_range", "two numbers (low, high)"),
        ({"clamp": "yes"}, "clamp", "True or False"),
        ({"clamp": None}, "clamp", "True or False"),
        ({"aggregate": "median"}, "aggregate", "one of mean, min, max, last, all_pass, any_pass"),
        ({"aggregate": ["mean"]}, "aggregate", "one of mean"),
        ({"aggregate": "all_pass"}, "aggregate", "it needs pass_when, and gives no score"),
        ({"aggregate": "any_pass", "pass_when": True}, "aggregate", "gives no score"),
        ({"pass_when": {}}, "pass_when", "a dict of operators; known are >=, >, <=, <, ==, !=, in, not_in"),
        ({"pass_when": {"=>": 1}}, "pass_when", "a dict of operators; known are >="),
        ({"pass_when": {">=": 1, "~": 1}}, "pass_when", "a dict of operators"),
        ({"pass_when": 1}, "pass_when", "True, False or a dict"),
        ({"pass_when": "resolved"}, "pass_when", "True, False or a dict"),
        ({"pass_when": ["resolved"]}, "pass_when", "True, False or a dict"),
        ({"pass_when": {">=": "1"}}, "pass_when", ">= needs a number"),
        ({"pass_when": {"<": True}}, "pass_when", "< needs a number"),
        ({"pass_when": {"<=": math.nan}}, "pass_when", "<= needs a number"),
        ({"pass_when": {"in": "resolved"}}, "pass_when", "in needs a list of at least one"),
        ({"pass_when": {"in": {"resolved"}}}, "pass_when", "in needs a list of at least one"),
        ({"pass_when": {"not_in": []}}, "pass_when", "not_in needs a list of at least one"),
        ({"pass_when": {"in": [["resolved"]]}}, "pass_when", "in needs a list of at least one"),
        ({"pass_when": {"in": [None]}}, "pass_when", "in needs a list of at least one"),
        ({"pass_when": {"==": None}}, "pass_when", "== needs a number, text or boolean"),
        ({"pass_when": {"!=": {"a": 1}}}, "pass_when", "!= needs a number, text or boolean"),
        ({"pass_when": {"==": math.inf}}, "pass_when", "== needs a number, text or boolean"),
        ({"scale": (0, 1)}, "scale", "a known field: source, label, metric_id"),
    ],
)
def test_a_bad_part_of_a_mapping_is_named_with_its_value_and_what_it_has_to_be(bad, field, words):
    assert list(errors := errors_in(good(**bad))) == [f"mappings[0].{field}"]
    assert words in errors[f"mappings[0].{field}"]


@pytest.mark.parametrize("missing", ["source", "label"])
def test_a_mapping_names_what_it_is_from_and_to(missing):
    given = {name: value for name, value in good().items() if name != missing}
    assert errors_in(given) == {
        f"mappings[0].{missing}": f"mappings[0].{missing}: None is not allowed: it is required"
    }


def test_a_mapping_that_says_nothing_is_refused():
    errors = errors_in({"source": "csat", "label": "CSAT"})
    assert errors == {
        "mappings[0].score_range and pass_when": (
            "mappings[0].score_range and pass_when: None is not enough: at least one of the two is needed"
        )
    }


@pytest.mark.parametrize("clamp", [True, "True"])
def test_clamping_without_a_range_is_refused(clamp):
    rules = {"source": "csat", "label": "CSAT", "pass_when": True}
    assert list(errors_in({**rules, "clamp": clamp})) == ["mappings[0].clamp"]
    assert check_mappings([{**rules, "clamp": False}, {**rules, "label": "b", "clamp": "False"}])


def test_all_that_is_wrong_is_named_at_once():
    errors = errors_in(good(), {"label": "", "score_range": (0, 0)}, 5, good(label="b", pass_when={}))
    assert list(errors) == [
        *("mappings[1].source", "mappings[1].label", "mappings[1].score_range"),
        "mappings[2].mapping",
        "mappings[3].pass_when",
    ]


def test_two_mappings_for_one_label_are_refused():
    errors = errors_in(good(), good(source="tone"), good(label="b"), good(label="csat"))
    assert errors == {
        "mappings": "mappings: 'CSAT' is not allowed as label of two mappings: "
        "the second would replace the first"
    }


def test_one_metric_may_become_several():
    mappings = check_mappings([good(), good(label="Passed", score_range=None, pass_when={">=": 0.5})])
    metrics, _ = map_metrics(mappings, CALL, {"csat": [SourceValue(0.4)]})
    assert [metric.body() for metric in metrics] == [
        {"label": "CSAT", "score": 40},
        {"label": "Passed", "verdict": "fail"},
    ]


@pytest.mark.parametrize("mappings", [[], (), None, {}, good(), "[{'source': 'csat'}]", 5])
def test_mappings_are_a_list_of_at_least_one(mappings):
    with pytest.raises(InvalidMetricError, match="render_template_as_native_obj=True") as caught:
        check_mappings(mappings)
    assert [error.field for error in caught.value.errors] == ["mappings"]


def test_a_mapping_is_json():
    mappings = [good(pass_when={"in": ["a", 1, True]}, aggregate="last", clamp=True, metric_id=METRIC_ID)]
    assert check_mappings(json.loads(json.dumps(mappings))) == check_mappings(mappings)


TEMPLATE = "{{ params.anything }}"


@pytest.mark.parametrize(
    "templated",
    [
        {"source": TEMPLATE},
        {"label": TEMPLATE},
        {"score_range": TEMPLATE},
        {"score_range": (0, TEMPLATE)},
        {"pass_when": {">=": TEMPLATE}},
        {"pass_when": {"in": [TEMPLATE]}},
        {"aggregate": TEMPLATE},
        {"clamp": TEMPLATE},
        {"metric_id": TEMPLATE},
    ],
)
def test_while_a_dag_is_parsed_only_what_is_known_is_checked(templated):
    assert check_mappings([good(**templated)], literals_only=True) == []
    (field,) = templated
    other = "label" if field == "source" else "source"
    assert list(errors_in(good(**{**templated, other: ""}), literals_only=True)) == [f"mappings[0].{other}"]


def test_templated_mappings_as_a_whole_are_checked_when_they_are_rendered():
    assert check_mappings(TEMPLATE, literals_only=True) == []
    assert check_mappings([TEMPLATE], literals_only=True) == []
    assert list(errors_in(TEMPLATE, good(label=""), literals_only=True)) == ["mappings[1].label"]


def test_literal_mappings_are_all_checked_while_a_dag_is_parsed():
    assert len(check_mappings([good()], literals_only=True)) == 1
    for bad in ([], "resolved", None):
        with pytest.raises(InvalidMetricError):
            check_mappings(bad, literals_only=True)


def mapped(found, *mappings):
    return map_metrics(check_mappings(list(mappings)), CALL, found)


def test_metrics_are_mapped_in_the_order_of_the_mappings():
    metrics, skipped = mapped(
        {"a": [SourceValue(1)], "b": [SourceValue(0)], "unused": [SourceValue("x")]},
        good(source="b", label="B"),
        good(source="a", label="A"),
    )
    assert [(metric.conversation_id, metric.label, metric.score) for metric in metrics] == [
        (CALL, "B", 0),
        (CALL, "A", 100),
    ]
    assert skipped == []


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([SourceValue(None, "DATA_MISSING")], "DATA_MISSING"),
        ([SourceValue(None), SourceValue(None, "judge timed out")], "judge timed out"),
        ([SourceValue(None)], "no value"),
        ([], "no value"),
        ([SourceValue(None, {"code": 5})], "{'code': 5}"),
    ],
)
def test_a_metric_without_a_value_is_skipped_with_the_reason(values, reason):
    metrics, skipped = mapped({"csat": values, "a": [SourceValue(1)]}, good(), good(source="a", label="A"))
    assert [metric.label for metric in metrics] == ["A"]
    assert [one._asdict() for one in skipped] == [{"source": "csat", "label": "CSAT", "reason": reason}]


def test_values_that_are_missing_do_not_count_among_several():
    found = {"csat": [SourceValue(None, "ERROR"), SourceValue(0.5), SourceValue(None)]}
    (metric,), skipped = mapped(found, good())
    assert (metric.score, skipped) == (50, [])


def test_no_value_is_not_the_same_as_a_value_that_says_no():
    found = {"a": [SourceValue(0)], "b": [SourceValue(False)], "c": [SourceValue("")]}
    metrics, skipped = mapped(
        found,
        good(source="a", label="A"),
        {"source": "b", "label": "B", "pass_when": True},
        {"source": "c", "label": "C", "pass_when": {"not_in": [""]}},
    )
    assert [(metric.score, metric.verdict) for metric in metrics] == [
        (0, None),
        (None, "fail"),
        (None, "fail"),
    ]
    assert skipped == []


@pytest.mark.parametrize(("found", "listed"), [({}, "none"), (dict.fromkeys("bca", ()), "a, b, c")])
def test_a_metric_that_is_not_there_is_an_error_that_lists_what_is(found, listed):
    with pytest.raises(SourceMetricError) as caught:
        mapped(found, good())
    assert f"There is no metric 'csat', to be 'CSAT' in Zelto; found: {listed}. " in str(caught.value)
    assert "wait for it with a sensor" in str(caught.value)


def test_a_metric_that_is_still_being_computed_is_an_error():
    found = {"csat": [SourceValue(1), SourceValue(None, "its status is IN PROGRESS", is_final=False)]}
    with pytest.raises(SourceMetricError, match="is still being computed: its status is IN PROGRESS"):
        mapped(found, good(aggregate="last"))


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.data())
def test_every_mapping_gives_a_metric_or_is_skipped(sources, data):
    assume(sources)
    found = {
        source: data.draw(st.lists(st.sampled_from([None, 0.5]).map(SourceValue), max_size=3))
        for source in sources
    }
    mappings = [good(source=source, label=source, aggregate="mean") for source in sources]
    metrics, skipped = mapped(found, *mappings)
    with_value = {source for source in sources if any(value.value is not None for value in found[source])}
    assert {metric.label for metric in metrics} == with_value
    assert {one.label for one in skipped} == set(sources) - with_value
