from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_zelto.exceptions import InvalidMetricError
from airflow_provider_zelto.models import (
    NewCustomerMetric,
    read_customer_metric,
    read_customer_metric_list,
)
from tests.answers import CALL, METRIC

METRIC_ID = "5f0c1a2e-9b7d-4c1b-8a53-0e6f2d9c7b10"


def check(**changes):
    return NewCustomerMetric.check({"conversation_id": CALL, "label": "a", "score": 1, **changes})


def refusal(**changes):
    with pytest.raises(InvalidMetricError) as caught:
        check(**changes)
    return caught.value


@pytest.mark.parametrize(
    ("score", "sent"),
    [
        (0, 0),
        (100, 100),
        (0.0, 0),
        (-0.0, 0),
        (99.999, 99.999),
        (5e-324, 5e-324),
        ("0", 0),
        ("100", 100),
        ("92.50", 92.5),
        (" 7 ", 7),
        ("1e2", 100),
        (Decimal("92.5"), 92.5),
        (Decimal(100), 100),
        (Fraction(1, 4), 0.25),
    ],
)
def test_a_score_is_a_number_from_0_to_100_in_any_type(score, sent):
    body = check(score=score).body()
    assert body["score"] == sent
    assert json.dumps(body["score"]) == json.dumps(sent)


@pytest.mark.parametrize(
    "score",
    [
        -0.001,
        100.001,
        101,
        -1,
        10**400,
        float("nan"),
        float("inf"),
        float("-inf"),
        True,
        False,
        "",
        " ",
        "nan",
        "inf",
        "-inf",
        "Infinity",
        "1e999",
        "12 %",
        "1,5",
        "0x10",
        "None",
        "True",
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("100.001"),
        Decimal("1E+1000000"),
        1j,
        b"5",
        [5],
        {"score": 5},
    ],
)
def test_anything_else_is_no_score(score):
    error = refusal(score=score)
    assert [bad.field for bad in error.errors] == ["score"]
    assert error.errors[0].limit == "a number from 0 to 100"


def test_a_score_of_zero_is_a_score():
    assert check(score=0, verdict=None).body() == {"label": "a", "score": 0}


@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_a_verdict_is_pass_or_fail(verdict):
    assert check(verdict=verdict, score=None).body() == {"label": "a", "verdict": verdict}


@pytest.mark.parametrize("verdict", ["", "PASS", "Pass", " pass", "passed", True, 1, b"pass", ["pass"]])
def test_anything_else_is_no_verdict(verdict):
    error = refusal(verdict=verdict)
    assert str(error) == f"verdict: {verdict!r} is not 'pass' or 'fail'"


@pytest.mark.parametrize(
    ("field", "alias", "shortest", "longest"),
    [("label", "label", 1, 255), ("note", "note", 0, 5000), ("external_id", "externalId", 0, 255)],
)
def test_the_lengths_of_texts_are_limited(field, alias, shortest, longest):
    for length in {shortest, 1, longest - 1, longest}:
        assert check(**{field: "é" * length}).body()[alias] == "é" * length
    lengths = {shortest - 1, longest + 1} - {-1}
    for length in lengths:
        error = refusal(**{field: "é" * length})
        assert [bad.field for bad in error.errors] == [field]
        assert str(longest) in str(error)


@pytest.mark.parametrize("field", ["label", "note", "external_id"])
@pytest.mark.parametrize("value", [1, True, b"a", ["a"], "\ud800"])
def test_other_things_are_no_texts(field, value):
    assert [bad.field for bad in refusal(**{field: value}).errors] == [field]


@pytest.mark.parametrize("value", [METRIC_ID, METRIC_ID.upper(), METRIC_ID.replace("-", ""), UUID(METRIC_ID)])
@pytest.mark.parametrize("field", ["conversation_id", "metric_id"])
def test_ids_are_uuids_and_are_sent_in_the_usual_spelling(field, value):
    assert getattr(check(**{field: value}), field) == METRIC_ID


@pytest.mark.parametrize("value", ["", "1", f"../{METRIC_ID}", f"{METRIC_ID}/x", f"{METRIC_ID}?x=1", 7, b"x"])
@pytest.mark.parametrize("field", ["conversation_id", "metric_id"])
def test_anything_else_is_no_id(field, value):
    assert str(refusal(**{field: value})) == f"{field}: {value!r} is not a UUID"


@pytest.mark.parametrize("field", ["conversation_id", "label"])
def test_a_required_field_may_not_be_none(field):
    assert [bad.field for bad in refusal(**{field: None}).errors] == [field]


def test_a_missing_field_is_named():
    with pytest.raises(InvalidMetricError) as caught:
        NewCustomerMetric.check({"score": 1})
    assert [bad.field for bad in caught.value.errors] == ["conversation_id", "label"]


@pytest.mark.parametrize("arguments", [{}, {"note": "n"}, {"verdict": None, "score": None}])
def test_a_metric_without_verdict_and_score_says_nothing(arguments):
    error = refusal(**{"score": None, **arguments})
    assert [bad.field for bad in error.errors] == ["verdict and score"]
    assert "at least one of the two" in str(error)


def test_an_unknown_field_is_refused_and_the_known_ones_are_listed():
    error = refusal(scoer=5)
    assert [bad.field for bad in error.errors] == ["scoer"]
    assert "conversation_id, label, verdict, score, note, metric_id, external_id" in str(error)


@pytest.mark.parametrize("field", ["id", "source", "createdAt", "base_url"])
def test_what_zelto_sets_itself_cannot_be_submitted(field):
    assert [bad.field for bad in refusal(**{field: "x"}).errors] == [field]


def test_every_wrong_field_is_named_at_once_with_value_and_limit():
    with pytest.raises(InvalidMetricError) as caught:
        NewCustomerMetric.check(
            {
                "conversation_id": "../x",
                "label": "",
                "verdict": "maybe",
                "score": 101,
                "note": "n" * 5001,
                "metric_id": "m",
                "external_id": "e" * 256,
                "colour": "red",
            }
        )
    assert [(bad.field, bad.value) for bad in caught.value.errors] == [
        ("conversation_id", "../x"),
        ("label", ""),
        ("verdict", "maybe"),
        ("score", 101),
        ("note", "n" * 5001),
        ("metric_id", "m"),
        ("external_id", "e" * 256),
        ("colour", "red"),
    ]
    message = str(caught.value)
    for part in (
        "a UUID",
        "255 characters",
        "'pass' or 'fail'",
        "from 0 to 100",
        "5000 characters",
        "colour",
    ):
        assert part in message
    assert len(message) < 1200


def test_fields_may_also_have_the_names_of_the_api():
    arguments = {"conversationId": CALL, "label": "a", "score": 1, "metricId": METRIC_ID, "externalId": "e"}
    assert NewCustomerMetric.check(arguments) == check(metric_id=METRIC_ID, external_id="e")
    with pytest.raises(InvalidMetricError) as caught:
        NewCustomerMetric.check({**arguments, "metricId": "m"})
    assert [bad.field for bad in caught.value.errors] == ["metric_id"]


def test_the_same_field_under_both_names_is_refused():
    error = refusal(metric_id=METRIC_ID, metricId=CALL)
    assert [bad.field for bad in error.errors] == ["metric_id"]


def test_a_body_has_every_field_that_is_set_under_the_names_of_the_api():
    metric = check(verdict="fail", score="0", note="", metric_id=METRIC_ID.upper(), external_id="e")
    assert metric.body() == {
        "label": "a",
        "verdict": "fail",
        "score": 0,
        "note": "",
        "metricId": METRIC_ID,
        "externalId": "e",
    }


NULLABLE = ["metricId", "externalId", "verdict", "score", "note"]
FULL = {
    **METRIC,
    "metricId": METRIC_ID,
    "externalId": "e",
    "verdict": "pass",
    "score": 92.5,
    "note": "n",
}


def identical(left, right):
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


@pytest.mark.parametrize(
    "answer",
    [
        METRIC,
        FULL,
        {**FULL, **dict.fromkeys(NULLABLE)},
        *({**FULL, name: None} for name in NULLABLE),
        *({key: value for key, value in FULL.items() if key != name} for name in NULLABLE),
        {**FULL, "score": 0},
        {**FULL, "score": 100},
        {**FULL, "score": 1.0},
        {**METRIC, "updatedAt": "2026-01-02T12:00:00+02:00"},
        {**METRIC, "reviewer": {"name": "R", "tags": [1, None, True]}, "version": 2},
    ],
)
def test_an_answer_comes_through_unchanged(answer):
    assert identical(read_customer_metric(answer), answer)
    assert identical(
        read_customer_metric_list({"data": [answer], "next": None}), {"data": [answer], "next": None}
    )


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda name: name not in FULL),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=5)
        | st.lists(st.floats(0, 1), max_size=2),
        max_size=3,
    )
)
def test_fields_that_the_api_adds_pass_through(added):
    assert identical(read_customer_metric({**FULL, **added}), {**FULL, **added})


@pytest.mark.parametrize("name", METRIC)
def test_an_answer_without_a_required_field_is_refused(name):
    answer = {key: value for key, value in FULL.items() if key != name}
    with pytest.raises(ValueError, match=f"^{name}: Field required$"):
        read_customer_metric(answer)
    with pytest.raises(ValueError, match=rf"^data\.1\.{name}: Field required$"):
        read_customer_metric_list({"data": [FULL, answer]})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in METRIC),
        ("id", 7),
        ("label", ["a"]),
        ("updatedAt", 1767355200),
        ("updatedAt", ""),
        ("updatedAt", "yesterday"),
        ("updatedAt", "P1D"),
        ("verdict", "PASS"),
        ("verdict", True),
        ("score", "92.5"),
        ("score", True),
        ("score", [1]),
        ("note", 5),
        ("metricId", 5),
        ("externalId", {}),
    ],
)
def test_an_answer_with_a_field_of_the_wrong_type_is_refused(name, value):
    with pytest.raises(ValueError, match=f"^{name}"):
        read_customer_metric({**FULL, name: value})


@pytest.mark.parametrize("answer", [None, [], "text", 5, True])
def test_an_answer_that_is_no_object_is_refused(answer):
    with pytest.raises(ValueError, match=r"^the whole of it: "):
        read_customer_metric(answer)
    with pytest.raises(ValueError, match=r"^the whole of it: "):
        read_customer_metric_list(answer)


@pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": {}}, {"data": "x"}, {"metrics": []}])
def test_a_list_needs_its_data(answer):
    with pytest.raises(ValueError, match=r"^data: "):
        read_customer_metric_list(answer)


def test_a_refused_answer_does_not_quote_what_it_holds():
    with pytest.raises(ValueError, match="label") as caught:
        read_customer_metric({**FULL, "label": ["date of birth"]})
    assert "birth" not in str(caught.value)
