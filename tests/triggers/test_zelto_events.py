from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time

import pytest
from airflow.serialization import serialized_objects

from airflow_provider_zelto import conditions
from airflow_provider_zelto.exceptions import InvalidMetricError
from airflow_provider_zelto.triggers import zelto_events
from airflow_provider_zelto.triggers.zelto_events import CustomerMetricsEventTrigger
from tests.answers import CALL
from tests.conftest import AIRFLOW_VERSION, API_KEY
from tests.sensors.waiting import as_json, stored_and_loaded

pytestmark = pytest.mark.skipif(AIRFLOW_VERSION < (3, 0), reason="asset watchers came with Airflow 3.0")
shares_polls = pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="shared polls came with Airflow 3.3")


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch):
    monkeypatch.setattr(zelto_events, "SECONDS_TO_STORE_AN_EVENT", 0)
    monkeypatch.setattr(zelto_events, "PAUSE_AFTER_GIVING_UP", 0.05)
    monkeypatch.setattr(conditions, "_LONGEST_PAUSE", 0.01)


def make_trigger(conversation_id=CALL, **arguments):
    return CustomerMetricsEventTrigger(
        conversation_id=conversation_id, **{"poke_interval": 0.02, **arguments}
    )


class Store:
    """An asset's state store, as Airflow 3.3 gives it to a trigger."""

    def __init__(self):
        self.values = {}
        self.failures = 0
        self.writes = 0

    async def aget(self, key, default=None):
        self._fail()
        return self.values.get(key, default)

    async def aset(self, key, value):
        self._fail()
        self.writes += 1
        self.values[key] = as_json(value)

    def _fail(self):
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the supervisor does not answer")


class Watching:
    """A trigger at work in the event loop, and what it has fired."""

    def __init__(self, emulator, trigger, store=None, stream=None):
        self.emulator = emulator
        self.fired = []
        if store is not None:
            trigger.asset_state_store = store
        events = trigger.run() if stream is None else trigger.filter_shared_stream(stream)
        self.task = asyncio.create_task(self._collect(events))

    async def _collect(self, events):
        async for event in events:
            self.fired.append(as_json(event.payload))

    async def looks(self, times=2):
        """Wait until the call was asked for so many times more, and what came of it is done."""
        reached = len(self.emulator.journal(method="GET")) + times
        deadline = time.monotonic() + 20
        while len(self.emulator.journal(method="GET")) < reached:
            assert time.monotonic() < deadline, "it asks no more"
            if self.task.done():
                self.task.result()
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.01)

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    @property
    def labels(self):
        return [[metric["label"] for metric in event["metrics"]] for event in self.fired]


@pytest.fixture
async def watch(emulator):
    """Let triggers watch until the test is over."""
    started = []

    def start(*arguments, **options):
        started.append(Watching(emulator, *arguments, **options))
        return started[-1]

    yield start
    for watching in started:
        await watching.stop()


async def test_a_metric_that_appears_is_one_event_with_the_metric(emulator, call, watch):
    watching = watch(make_trigger(call))
    await watching.looks()
    emulator.add_metric(call, "a", score=1, note="n")
    await watching.looks(4)
    assert watching.fired == [{"conversation_id": call, "metrics": emulator.metrics(call)}]


async def test_a_metric_that_changes_is_one_event_for_each_change(emulator, call, watch):
    emulator.add_metric(call, "a", score=1)
    emulator.add_metric(call, "b", score=1)
    watching = watch(make_trigger(call))
    await watching.looks()
    assert watching.fired == []
    for score in (2, 3):
        emulator.add_metric(call, "a", score=score)
        await watching.looks(3)
    assert [[(one["label"], one["score"]) for one in event["metrics"]] for event in watching.fired] == [
        [("a", 2)],
        [("a", 3)],
    ]


async def test_labels_narrow_what_fires(emulator, call, watch):
    watching = watch(make_trigger(call, labels=["a", "c"]))
    await watching.looks()
    for label in ("a", "b", "c"):
        emulator.add_metric(call, label, score=1)
        await watching.looks()
    assert watching.labels == [["a"], ["c"]]


async def test_updated_after_lets_the_first_look_fire(emulator, call, watch):
    emulator.add_metric(call, "a", score=1)
    watching = watch(make_trigger(call, updated_after="2026-01-01"))
    await watching.looks(3)
    assert watching.labels == [["a"]]


async def test_a_call_that_zelto_does_not_know_yet_fires_once_it_has_metrics(emulator, watch):
    emulator.fault(status=404, method="GET", count=3)
    call = emulator.add_conversation()
    emulator.add_metric(call, "a", score=1)
    watching = watch(make_trigger(call))
    await watching.looks(5)
    assert watching.labels == [["a"]]


async def test_a_404_of_something_else_is_no_look_at_the_call(emulator, call, watch):
    emulator.add_metric(call, "before", score=1)
    emulator.fault(status=404, method="GET", count=3, body="<html>No such page</html>")
    watching = watch(make_trigger(call))
    await watching.looks(5)
    assert watching.fired == []
    emulator.add_metric(call, "a", score=1)
    await watching.looks()
    assert watching.labels == [["a"]]


async def test_a_trigger_remembers_across_a_restart_what_it_has_seen(emulator, call, watch):
    store = Store()
    emulator.add_metric(call, "before", score=1)
    first = watch(make_trigger(call), store)
    await first.looks()
    emulator.add_metric(call, "during", score=1)
    await first.looks()
    await first.stop()
    emulator.add_metric(call, "missed", score=1)
    second = watch(stored_and_loaded(make_trigger(call)), store)
    await second.looks(3)
    assert (first.labels, second.labels) == ([["during"]], [["missed"]])
    assert store.writes == 3


async def test_an_event_that_may_not_have_been_stored_is_fired_again(emulator, call, watch, monkeypatch):
    monkeypatch.setattr(zelto_events, "SECONDS_TO_STORE_AN_EVENT", 60)
    store = Store()
    first = watch(make_trigger(call), store)
    await first.looks()
    emulator.add_metric(call, "a", score=1)
    while not first.fired:
        await asyncio.sleep(0.01)
    await first.stop()
    second = watch(make_trigger(call), store)
    await second.looks(1)
    while not second.fired:
        await asyncio.sleep(0.01)
    assert first.labels == second.labels == [["a"]]


async def test_without_a_store_a_restart_is_a_first_look(emulator, call, watch):
    first = watch(make_trigger(call))
    await first.looks()
    await first.stop()
    emulator.add_metric(call, "missed", score=1)
    second = watch(make_trigger(call))
    await second.looks(3)
    assert second.fired == []


async def test_a_store_that_fails_delays_what_it_holds_and_is_written_again(emulator, call, watch, logged):
    store = Store()
    first = watch(make_trigger(call), store)
    await first.looks()
    await first.stop()
    store.failures = 2
    emulator.add_metric(call, "a", score=1)
    second = watch(make_trigger(call), store)
    await second.looks(2)
    assert second.labels == [["a"]]
    store.failures = 1
    emulator.add_metric(call, "b", score=1)
    await second.looks(3)
    emulator.add_metric(call, "c", score=1)
    await second.looks(3)
    assert second.labels == [["a"], ["b"], ["c"]]
    assert [sorted(marks) for marks in store.values.values()] == [["a", "b", "c"]]
    said = [line.text for line in logged() if line.level in ("ERROR", "EXCEPTION")]
    assert said.count("What was seen earlier cannot be read. Trying again.") == 2
    assert said.count("What was seen cannot be stored.") == 1


@shares_polls
async def test_a_trigger_for_several_assets_watches_without_a_memory(emulator, call, watch):
    from airflow.sdk import Asset
    from airflow.sdk.execution_time.context import AssetStateStoreAccessors

    watching = watch(make_trigger(call), AssetStateStoreAccessors([Asset("one"), Asset("two")]))
    await watching.looks()
    emulator.add_metric(call, "a", score=1)
    await watching.looks(3)
    assert watching.labels == [["a"]]


async def test_a_trigger_bears_failures_of_every_kind_and_goes_on(emulator, connect, call, watch):
    connect(emulator.url, extra={"max_retries": 0})
    watching = watch(make_trigger(call))
    await watching.looks()
    emulator.fault(status=503, count=12)  # one more than it bears in a row, and then some
    emulator.fault(action="cut_body", count=2)
    await watching.looks(14)
    emulator.add_metric(call, "a", score=1)
    await watching.looks(3)
    assert watching.labels == [["a"]]


async def test_a_refused_key_is_not_asked_again_until_later_and_then_with_the_connection_as_it_is(
    emulator, connect, call, watch, logged, monkeypatch
):
    monkeypatch.setattr(zelto_events, "PAUSE_AFTER_GIVING_UP", 0.4)
    connect(emulator.url, password="wrong-key")
    watching = watch(make_trigger(call, updated_after="2026-01-01"))
    await watching.looks(1)
    await asyncio.sleep(0.2)
    assert len(emulator.journal()) == 1
    connect(emulator.url)
    emulator.add_metric(call, "a", score=1)
    await watching.looks(2)
    assert watching.labels == [["a"]]
    [warning] = [line.text for line in logged() if line.level == "WARNING" and "401" in line.text]
    assert warning.endswith("Asking again in 0.4 s.")


async def test_a_connection_that_is_missing_or_broken_does_not_end_a_watch(
    airflow_db, emulator, connect, call, watch, monkeypatch, logged
):
    monkeypatch.setenv("AIRFLOW_CONN_ZELTO_LATER", f"zelto://:{API_KEY[:5]}/{API_KEY[5:]}@api.zelto.ai")
    missing = watch(make_trigger(call, zelto_conn_id="zelto_nowhere"))
    broken = watch(make_trigger(call, zelto_conn_id="zelto_later", updated_after="2026-01-01"))
    await asyncio.sleep(0.3)
    assert not missing.task.done()
    assert not broken.task.done()
    connect(emulator.url, conn_id="zelto_later")
    emulator.add_metric(call, "a", score=1)
    await broken.looks(2)
    assert broken.labels == [["a"]]
    assert not any(API_KEY[5:] in line.text for line in logged())


async def test_an_event_loop_goes_on_while_a_call_is_asked_for(emulator, call, watch):
    emulator.settings(latency=0.5)
    watching = watch(make_trigger(call))
    looked = asyncio.create_task(watching.looks(2))
    turns = 0
    while not looked.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 50


def shared_streams():
    from airflow.triggers.shared_stream import SharedStreamManager

    return SharedStreamManager(log=logging.getLogger("shared"))


@shares_polls
async def test_watchers_of_the_same_call_share_one_poll(emulator, call, watch):
    manager = shared_streams()
    triggers = [
        make_trigger(call, poke_interval=0.2, labels=labels) for labels in (["a"], ["b"], None, ["a", "b"])
    ]
    keys = {trigger.shared_stream_key() for trigger in triggers}
    assert len(keys) == 1
    watching = [
        watch(trigger, stream=manager.subscribe(trigger_id=number, trigger=trigger, key=next(iter(keys))))
        for number, trigger in enumerate(triggers)
    ]
    await watching[0].looks(1)
    emulator.add_metric(call, "a", score=1)
    await watching[0].looks(2)
    emulator.add_metric(call, "b", score=1)
    began = time.monotonic()
    asked = len(emulator.journal())
    await watching[0].looks(3)
    assert len(emulator.journal()) - asked <= (time.monotonic() - began) / 0.2 + 2
    await manager.stop_all()
    assert [one.labels for one in watching] == [[["a"]], [["b"]], [["a"], ["b"]], [["a"], ["b"]]]


@pytest.mark.parametrize(
    "other", [{"conversation_id": CALL.replace("3", "4")}, {"zelto_conn_id": "x"}, {"poke_interval": 1}]
)
def test_a_poll_is_only_shared_by_those_that_would_ask_the_same(other):
    assert make_trigger(**other).shared_stream_key() != make_trigger().shared_stream_key()


@shares_polls
async def test_a_shared_poll_ends_with_its_last_watcher(emulator, call, watch):
    manager = shared_streams()
    trigger = make_trigger(call)
    key = trigger.shared_stream_key()
    watching = watch(trigger, stream=manager.subscribe(trigger_id=1, trigger=trigger, key=key))
    await watching.looks()
    await manager.unsubscribe(1, key)
    asked = len(emulator.journal())
    await asyncio.sleep(0.2)
    assert len(emulator.journal()) <= asked + 1


FULL = {
    "conversation_id": CALL.upper(),
    "labels": ["b", "a"],
    "updated_after": "2026-01-02T13:00:00+01:00",
    "zelto_conn_id": "zelto_other",
    "poke_interval": 7,
}


@pytest.mark.parametrize("arguments", [{}, FULL])
def test_a_trigger_made_again_from_what_airflow_stores_is_the_same(arguments):
    trigger = make_trigger(**arguments)
    path, kwargs = trigger.serialize()
    assert path == "airflow_provider_zelto.triggers.zelto_events.CustomerMetricsEventTrigger"
    assert as_json(kwargs) == kwargs
    assert stored_and_loaded(trigger).serialize() == (path, kwargs)
    # By this Airflow tells whether the watcher of a parsed DAG is the one that it has stored.
    assert trigger.hash(path, kwargs) == trigger.hash(*stored_and_loaded(trigger).serialize())


def test_bad_arguments_are_refused_when_the_dag_is_parsed():
    with pytest.raises(InvalidMetricError) as caught:
        make_trigger("x", labels=[], poke_interval=0)
    assert [error.field for error in caught.value.errors] == ["conversation_id", "labels", "poke_interval"]


def test_a_dag_with_a_watcher_survives_being_stored():
    from airflow.sdk import DAG, AssetWatcher

    from airflow_provider_zelto.assets import call_asset

    asset = call_asset(CALL, watchers=[AssetWatcher(name="w", trigger=make_trigger())])
    with DAG("watched", schedule=[asset]) as dag:
        pass
    dag_serialization = (
        getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG
    )
    stored = json.loads(json.dumps(dag_serialization.to_dict(dag)))
    assert "CustomerMetricsEventTrigger" in json.dumps(stored)
    assert dag_serialization.from_dict(stored).dag_id == "watched"
