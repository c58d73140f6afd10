from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from airflow_provider_zelto.exceptions import InvalidMetricError
from airflow_provider_zelto.returned import metrics_of
from tests.answers import CALL

ID = "0d9c5f0e-5a59-4c55-9a3b-0a8f8c8e2a11"
DEFAULTS = {"conversation_id": CALL, "label": "a"}


def meant(returned, **defaults):
    return [
        metric.model_dump(exclude_none=True, exclude=DEFAULTS.keys())
        for metric in metrics_of(returned, {**DEFAULTS, **defaults})
    ]


class Scalar:
    """What numpy and tensor libraries give for one value."""

    dtype = "any"

    def __init__(self, *values):
        self.values = values

    def item(self):
        if len(self.values) != 1:
            raise ValueError("can only convert an array of size 1")
        return self.values[0]


@pytest.mark.parametrize(
    ("returned", "fields"),
    [
        (92, {"score": 92}),
        (0, {"score": 0}),
        (92.5, {"score": 92.5}),
        (Decimal("92.5"), {"score": 92.5}),
        (Fraction(1, 2), {"score": 0.5}),
        (True, {"verdict": "pass"}),
        (False, {"verdict": "fail"}),
        (Scalar(7.0), {"score": 7}),
        (Scalar(True), {"verdict": "pass"}),
        ({"score": Scalar(7), "verdict": Scalar(False)}, {"score": 7, "verdict": "fail"}),
        ({"score": "92", "note": "n"}, {"score": 92, "note": "n"}),
        ({"verdict": "pass", "score": None}, {"verdict": "pass"}),
        ({"verdict": True, "metricId": ID, "external_id": "e"},
         {"verdict": "pass", "metric_id": ID, "external_id": "e"}),
    ],
)  # fmt: skip
def test_a_value_means_a_metric(returned, fields):
    assert meant(returned) == [fields]


def test_what_a_dict_brings_comes_before_what_the_decorator_was_given():
    row = {"conversationId": CALL.upper(), "label": "own", "externalId": "own", "score": 1}
    [metric] = metrics_of(row, {"conversation_id": ID, "label": "x", "external_id": "x", "metric_id": ID})
    assert (metric.conversation_id, metric.label, metric.external_id, metric.metric_id) == (
        CALL,
        "own",
        "own",
        ID,
    )
    [metric] = metrics_of({"label": None, "score": 1}, DEFAULTS)
    assert metric.label == "a"


def test_a_list_means_several_metrics():
    rows = [
        {"label": "b", "score": 1},
        {"verdict": "fail"},
        {"label": "b", "score": 1, "conversation_id": ID},
    ]
    metrics = metrics_of(rows, DEFAULTS)
    assert [(metric.conversation_id, metric.label) for metric in metrics] == [
        (CALL, "b"),
        (CALL, "a"),
        (ID, "b"),
    ]


@pytest.mark.parametrize(
    ("returned", "fields"),
    [
        (None, ["return value"]),
        ("92", ["return value"]),
        (b"1", ["return value"]),
        ([], ["return value"]),
        ({1, 2}, ["return value"]),
        (1j, ["return value"]),
        (Scalar(1, 2), ["return value"]),
        (float("nan"), ["score"]),
        (101, ["score"]),
        (Scalar(float("inf")), ["score"]),
        ({}, ["verdict and score"]),
        ({"label": "only"}, ["verdict and score"]),
        ({"points": 1, "score": 1}, ["points"]),
        ({"score": True}, ["score"]),
        ([{"score": 1}, {"score": 2}], ["[1] label"]),
        ([{"score": 1, "label": "b"}, 5, {"score": 200, "note": 1}], ["[1] value", "[2] score", "[2] note"]),
        ([None], ["[0] value"]),
    ],
)
def test_a_value_that_means_nothing_is_refused_by_what_is_wrong(returned, fields):
    with pytest.raises(InvalidMetricError) as caught:
        metrics_of(returned, DEFAULTS)
    assert [error.field for error in caught.value.errors] == fields


def test_a_function_that_returns_nothing_is_told_how_to_submit_nothing():
    with pytest.raises(InvalidMetricError, match="raise AirflowSkipException to submit nothing"):
        metrics_of(None, DEFAULTS)


def test_a_metric_without_call_or_label_is_refused():
    with pytest.raises(InvalidMetricError) as caught:
        metrics_of(1, {"conversation_id": None, "label": None})
    assert [error.field for error in caught.value.errors] == ["conversation_id", "label"]
