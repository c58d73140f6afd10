from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_zelto.emulator.clock import iso
from airflow_provider_zelto.emulator.pending import Pending
from airflow_provider_zelto.emulator.settings import LiveSettings, Settings
from airflow_provider_zelto.emulator.zelto_metrics import OthersMetric, Submission
from airflow_provider_zelto.emulator.zelto_state import NewConversation, ZeltoState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def state(clock):
    return ZeltoState(LiveSettings(Settings()), now=clock)


@pytest.fixture
def call(state):
    return state.add_call(NewConversation())["id"]


@pytest.mark.parametrize("step", [0, -3600])
def test_an_update_moves_the_time_even_when_the_clock_does_not(state, call, clock, step):
    first = state.submit(call, Submission("a", score=1))
    clock.now += timedelta(seconds=step)
    second = state.submit(call, Submission("a", score=2))
    assert first["updatedAt"] == "2026-01-01T12:00:00.000000Z"
    assert second["updatedAt"] == "2026-01-01T12:00:00.000001Z"


def test_metrics_that_are_due_appear_in_the_order_of_their_time_however_late_they_are_read(
    state, call, clock
):
    state.add_metric(call, OthersMetric(label="a", score=2, after=20))
    state.add_metric(call, OthersMetric(label="a", score=1, after=10))
    state.add_metric(call, OthersMetric(label="b", score=3, after=30))
    clock.now += timedelta(seconds=25)
    [metric] = state.metrics(call)
    assert metric["score"] == 2
    assert metric["createdAt"] == iso(NOON + timedelta(seconds=10))
    assert metric["updatedAt"] == iso(NOON + timedelta(seconds=20))


def test_a_metric_that_was_due_does_not_replace_a_later_submission(state, call, clock):
    state.add_metric(call, OthersMetric(label="a", score=1, after=10))
    clock.now += timedelta(seconds=15)
    assert state.submit(call, Submission("a", score=2))["score"] == 2
    assert [metric["score"] for metric in state.metrics(call)] == [2]


def test_a_call_is_available_from_its_moment_on(state, clock):
    call = state.add_call(NewConversation(available_after=5))["id"]
    clock.now += timedelta(seconds=4.999999)
    assert not state.is_available(call)
    clock.now += timedelta(seconds=0.000001)
    assert state.is_available(call)


def test_metrics_are_counted_once_however_often_they_are_replaced(state, call):
    for label in ("a", "b", "a"):
        state.submit(call, Submission(label, score=1))
    assert state.counts() == (1, 2)


def test_ids_that_are_no_call_are_left_out_of_a_description(state, call):
    assert [described["id"] for described in state.describe(["x", call])] == [call]


def test_items_due_at_the_same_moment_appear_in_the_order_they_were_added():
    pending = Pending[str]()
    for item in ("b", "a", "c"):
        pending.add(NOON, item)
    assert [item for _, item in pending.upcoming()] == ["b", "a", "c"]
    assert [item for _, item in pending.take(NOON)] == ["b", "a", "c"]
    assert pending.upcoming() == []
