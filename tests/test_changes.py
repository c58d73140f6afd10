from __future__ import annotations

import json

import pytest

from airflow_provider_zelto.changes import MetricsWatch, SeenMetrics
from airflow_provider_zelto.exceptions import InvalidMetricError
from tests.answers import CALL, METRIC


def metric(label="a", **fields):
    return {**METRIC, "label": label, **fields}


def watch(**arguments):
    return MetricsWatch.check({"conversation_id": CALL, **arguments})


def changes(seen, *metrics):
    return [(one["label"], one.get("score")) for one in seen.changes(metrics)]


def test_what_is_there_at_the_first_look_is_not_new():
    seen = SeenMetrics(watch())
    assert changes(seen, metric("a"), metric("b")) == []
    assert changes(seen, metric("a"), metric("b"), metric("c", score=1)) == [("c", 1)]


def test_a_first_look_at_a_call_without_metrics_counts_as_one():
    seen = SeenMetrics(watch())
    assert changes(seen) == []
    assert changes(seen, metric("a", score=1)) == [("a", 1)]


@pytest.mark.parametrize(
    "change",
    [
        {"score": 2},
        {"verdict": "fail"},
        {"note": "n"},
        {"metricId": "m"},
        {"externalId": "e"},
        {"id": "another"},
        {"updatedAt": "2026-01-02T12:00:01Z"},
    ],
)
def test_each_change_is_told_once(change):
    before = metric("a", score=1, verdict="pass")
    seen = SeenMetrics(watch())
    seen.changes([before])
    assert seen.changes([{**before, **change}]) == [{**before, **change}]
    assert seen.changes([{**before, **change}]) == []


@pytest.mark.parametrize("change", [{"agentId": "another"}, {"added_by_the_api_later": 1}, {"note": None}])
def test_what_says_nothing_about_the_evaluation_is_no_change(change):
    seen = SeenMetrics(watch(), {})
    assert len(seen.changes([metric()])) == 1
    assert seen.changes([{**metric(), **change}]) == []


def test_a_metric_that_was_gone_for_a_while_is_not_new():
    seen = SeenMetrics(watch(), {})
    assert changes(seen, metric("a"), metric("b", score=1)) == [("a", None), ("b", 1)]
    assert changes(seen) == []
    assert changes(seen, metric("a"), metric("b", score=2)) == [("b", 2)]


def test_only_the_labels_watched_are_told_sorted():
    seen = SeenMetrics(watch(labels=["c", "a"]), {})
    assert changes(seen, metric("c"), metric("b"), metric("a")) == [("a", None), ("c", None)]


def test_updated_after_says_from_when_on_metrics_count():
    seen = SeenMetrics(watch(updated_after="2026-01-02T12:00:00Z"))
    old = metric("old", updatedAt="2026-01-02T11:59:59Z")
    assert changes(seen, old, metric("on time", updatedAt="2026-01-02T12:00:00Z")) == [("on time", None)]
    assert changes(seen, old, metric("late arrival", updatedAt="2026-01-02T11:00:00Z")) == []
    assert changes(seen, {**old, "updatedAt": "2026-01-02T12:30:00Z"}) == [("old", None)]


def test_what_was_seen_survives_as_json_and_holds_no_values():
    seen = SeenMetrics(watch())
    seen.changes([metric("a", note="secret", score=77)])
    stored = json.dumps(seen.marks)
    assert "secret" not in stored
    assert len(stored) < 40
    again = SeenMetrics(watch(), json.loads(stored))
    assert again.changes([metric("a", note="secret", score=77)]) == []
    assert len(again.changes([metric("a", note="secret", score=78)])) == 1


def test_a_watch_keeps_its_name_as_long_as_it_watches_the_same_metrics():
    name = watch(labels=["a", "b"]).name()
    assert watch(labels=["b", "a"], poke_interval=5, updated_after="2026-01-02").name() == name
    assert (
        len({name, watch().name(), watch(labels=["a"]).name(), watch(conversation_id=METRIC_ID).name()}) == 4
    )


METRIC_ID = "0d9c5f0e-5a59-4c55-9a3b-0a8f8c8e2a11"


@pytest.mark.parametrize(
    "arguments",
    [{}, {"labels": ["b", "a"], "updated_after": "2026-01-02T13:00:00+01:00", "poke_interval": 0.5}],
)
def test_a_watch_is_made_again_from_its_json(arguments):
    made = watch(**arguments)
    assert MetricsWatch.check(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"conversation_id": "x"}, "conversation_id"),
        ({"labels": []}, "labels"),
        ({"updated_after": "now"}, "updated_after"),
        ({"poke_interval": 0}, "poke_interval"),
    ],
)
def test_bad_arguments_are_refused(arguments, field):
    with pytest.raises(InvalidMetricError) as caught:
        watch(**arguments)
    assert [error.field for error in caught.value.errors] == [field]
