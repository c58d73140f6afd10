"""What the triggers of all sources have in common."""

from __future__ import annotations

import asyncio
import json

import pytest
from airflow.models.trigger import Trigger
from airflow.triggers.base import TaskSuccessEvent

from airflow_provider_zelto.exceptions import InvalidConnectionError, InvalidMetricError, error_from_json
from airflow_provider_zelto.triggers.base import event_result
from tests.conftest import API_KEY
from tests.sensors.waiting import as_json, fired, first_event, stored_and_loaded
from tests.sources import LOCAL_SOURCES, host

pytest_plugins = ["tests.source_fixtures"]

SOURCE = pytest.mark.parametrize("source", LOCAL_SOURCES.values(), ids=LOCAL_SOURCES)


def make_trigger(source, call=None, names=None, **arguments):
    named = {
        source.id_field: call or source.example_id,
        source.names_field: names or [source.metrics[0]],
    }
    return source.trigger(**{"poke_interval": 0.02, **named, **arguments})


@pytest.fixture
def call(source):
    return source.add_call()


def full(source):
    options = {"on_missing_value": "skip", "poke_interval": 7, "max_consecutive_failures": 3}
    return {"names": ["b", "a", "ä"], f"{source.name}_conn_id": "other", **options}


@SOURCE
@pytest.mark.parametrize("arguments", [lambda source: {}, full], ids=["short", "full"])
def test_a_trigger_made_again_from_what_airflow_stores_is_the_same(source, arguments):
    trigger = make_trigger(source, **arguments(source))
    path, kwargs = trigger.serialize()
    assert path == f"airflow_provider_zelto.triggers.{source.name}.{source.trigger.__name__}"
    assert as_json(kwargs) == kwargs
    assert stored_and_loaded(trigger).serialize() == (path, kwargs)
    assert stored_and_loaded(trigger).condition == trigger.condition


@SOURCE
def test_what_airflow_stores_of_a_trigger_is_all_it_needs_and_no_key(source, connect_source):
    connect_source(source.name, "http://127.0.0.1:1")
    trigger = make_trigger(source, **full(source))
    row = Trigger.from_object(trigger)
    assert source.trigger(**row.kwargs).serialize() == trigger.serialize()
    assert API_KEY not in str(row.kwargs)


@SOURCE
def test_bad_arguments_are_refused(source):
    with pytest.raises(InvalidMetricError) as caught:
        make_trigger(source, source.bad_id, "a", on_missing_value="wait")
    assert {error.field for error in caught.value.errors} == {
        source.id_field,
        source.names_field,
        "on_missing_value",
    }


async def test_the_event_carries_what_was_waited_for_as_json(source, call):
    first, second, other = source.metrics
    source.add(call, first, 4, after=0.1)
    source.add(call, second, "calm")
    source.add(call, other, 1)
    event = await first_event(make_trigger(source, call, [first, second]))
    assert as_json(event) == event
    assert source.values(event["result"]) == {first: [4], second: ["calm"]}


@pytest.mark.parametrize("choice", ["fail", "skip"])
async def test_the_event_carries_a_missing_value_at_once(source, call, emulator, choice):
    first, never, _ = source.metrics
    source.add_missing(call, first)
    event = await first_event(make_trigger(source, call, [first, never], on_missing_value=choice))
    assert source.values(event["result"]) == {first: [None]}
    assert len(emulator.journal()) == 1


async def test_a_missing_value_that_is_welcome_is_waited_for_with_the_others(source, call):
    first, second, _ = source.metrics
    source.add_missing(call, first)
    source.add(call, second, 1, after=0.1)
    event = await first_event(make_trigger(source, call, [first, second], on_missing_value="succeed"))
    assert source.values(event["result"]) == {first: [None], second: [1]}


async def test_the_event_carries_the_error_as_json(source, call, emulator, connect_source):
    connect_source(source.name, host(emulator, source.name), password="wrong-key")
    event = await first_event(make_trigger(source, call))
    error = error_from_json(as_json(event)["error"])
    assert (error.service, error.status_code) == (source.title, 401)
    assert "wrong-key" not in json.dumps(event)


async def test_a_trigger_only_reads(source, call, emulator):
    source.add(call, source.metrics[0], 1, after=0.1)
    await first_event(make_trigger(source, call))
    assert {(entry["service"], entry["method"]) for entry in emulator.journal()} == {(source.name, "GET")}


async def test_a_trigger_goes_on_where_it_was_after_a_restart(source, call):
    trigger = make_trigger(source, call)
    before = asyncio.create_task(first_event(trigger))
    await asyncio.sleep(0.05)
    before.cancel()
    with pytest.raises(asyncio.CancelledError):
        await before
    source.add(call, source.metrics[0], 1)
    event = await first_event(stored_and_loaded(trigger))
    assert source.values(event["result"]) == {source.metrics[0]: [1]}


async def test_the_event_carries_what_is_wrong_with_the_connection(source, connect_source):
    connect_source(source.name, "http://api.example.com")
    event = await first_event(make_trigger(source))
    with pytest.raises(InvalidConnectionError, match=f"{source.name}_default"):
        event_result(as_json(event))


@pytest.mark.parametrize(
    ("choice", "ends"), [("succeed", True), ("fail", False), ("skip", False)], ids=lambda value: str(value)
)
async def test_only_a_worker_fails_or_skips_a_task_for_a_missing_value(source, call, choice, ends):
    first, second, _ = source.metrics
    source.add(call, first, 4)
    source.add_missing(call, second)
    options = {"on_missing_value": choice, "end_from_trigger": True}
    event = await fired(make_trigger(source, call, [first, second], **options))
    assert isinstance(event, TaskSuccessEvent) == ends
    assert source.values(event.payload["result"]) == {first: [4], second: [None]}


async def test_many_triggers_wait_in_one_event_loop(source, call):
    source.add(call, source.metrics[0], 1, after=0.2)
    events = await asyncio.gather(*(first_event(make_trigger(source, call)) for _ in range(20)))
    assert [source.values(event["result"]) for event in events] == [{source.metrics[0]: [1]}] * 20


async def test_a_trigger_bears_failures(source, call, emulator, connect_source, short_pauses):
    connect_source(source.name, host(emulator, source.name), extra={"max_retries": 0})
    source.add(call, source.metrics[0], 1)
    emulator.fault(status=503, count=2)
    emulator.fault(body="<html>", count=2)
    emulator.fault(status=404, count=2)
    event = await first_event(make_trigger(source, call, max_consecutive_failures=5))
    assert source.values(event["result"]) == {source.metrics[0]: [1]}
    assert len(emulator.journal()) == 7
