from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from airflow.models.trigger import Trigger

from airflow_provider_zelto.exceptions import InvalidConnectionError, InvalidMetricError, error_from_json
from airflow_provider_zelto.triggers.base import event_result
from airflow_provider_zelto.triggers.zelto import CustomerMetricsTrigger
from tests.answers import CALL
from tests.conftest import API_KEY
from tests.sensors.waiting import as_json, first_event, stored_and_loaded


def make_trigger(conversation_id=CALL, **arguments):
    return CustomerMetricsTrigger(conversation_id=conversation_id, **{"poke_interval": 0.02, **arguments})


FULL = {
    "conversation_id": CALL.upper(),
    "labels": ["b", "a"],
    "min_count": 2,
    "updated_after": "2026-01-02T13:00:00+01:00",
    "zelto_conn_id": "zelto_other",
    "poke_interval": 7,
    "max_consecutive_failures": 3,
}


@pytest.mark.parametrize("arguments", [{}, FULL, {"updated_after": "2026-01-02"}, {"labels": ["ä", "漢"]}])
def test_a_trigger_made_again_from_what_airflow_stores_is_the_same(arguments):
    trigger = make_trigger(**arguments)
    path, kwargs = trigger.serialize()
    assert path == "airflow_provider_zelto.triggers.zelto.CustomerMetricsTrigger"
    assert as_json(kwargs) == kwargs
    assert stored_and_loaded(trigger).serialize() == (path, kwargs)
    assert stored_and_loaded(trigger).condition == trigger.condition


def test_airflow_stores_and_loads_the_arguments_of_a_trigger():
    trigger = make_trigger(**FULL)
    row = Trigger.from_object(trigger)
    assert row.classpath == trigger.serialize()[0]
    assert CustomerMetricsTrigger(**row.kwargs).serialize() == trigger.serialize()
    assert API_KEY not in str(row.kwargs)


def test_bad_arguments_are_refused():
    with pytest.raises(InvalidMetricError) as caught:
        make_trigger("x", labels="a")
    assert [error.field for error in caught.value.errors] == ["conversation_id", "labels"]


async def test_the_event_carries_the_metrics_as_json(emulator, call):
    emulator.add_metric(call, "b", score=1, after=0.1)
    emulator.add_metric(call, "a", verdict="pass")
    event = await first_event(make_trigger(call, labels=["a", "b"]))
    assert as_json(event) == event
    assert [metric["label"] for metric in event["result"]] == ["a", "b"]
    assert all(metric in emulator.metrics(call) for metric in event["result"])


async def test_a_trigger_never_submits(emulator, call):
    emulator.add_metric(call, "a", score=1, after=0.1)
    await first_event(make_trigger(call))
    assert {entry["method"] for entry in emulator.journal()} == {"GET"}


async def test_the_event_carries_the_error_as_json(emulator, connect, call):
    connect(emulator.url, password="wrong-key")
    event = await first_event(make_trigger(call))
    assert error_from_json(as_json(event)["error"]).status_code == 401


async def test_a_trigger_goes_on_where_it_was_after_a_restart(emulator, call):
    trigger = make_trigger(call, labels=["a"])
    before = asyncio.create_task(first_event(trigger))
    await asyncio.sleep(0.1)
    before.cancel()
    with pytest.raises(asyncio.CancelledError):
        await before
    emulator.add_metric(call, "a", score=1)
    event = await first_event(stored_and_loaded(trigger))
    assert event == {"result": emulator.metrics(call)}


async def test_the_event_carries_what_is_wrong_with_the_connection(connect):
    connect("http://api.zelto.ai")
    event = await first_event(make_trigger())
    with pytest.raises(InvalidConnectionError, match="zelto_default"):
        event_result(as_json(event))


async def test_templates_are_kept_as_they_are_until_airflow_renders_them(emulator, call):
    emulator.add_metric(call, "Tone", score=1)
    (stored,) = emulator.metrics(call)
    given = {
        "conversation_id": "{{ params.call }}",
        "labels": {"{{ params.label }}", "Tone"},
        "updated_after": datetime(2026, 1, 2, tzinfo=UTC),
        "zelto_conn_id": "{{ params.connection }}",
    }
    path, kwargs = make_trigger(**given).serialize()
    assert as_json(kwargs) == kwargs
    assert kwargs["labels"] == ["Tone", "{{ params.label }}"]
    trigger = CustomerMetricsTrigger(**kwargs)
    assert trigger.serialize() == (path, kwargs)
    rendered = {"conversation_id": call, "labels": ["Tone", "Tone"], "zelto_conn_id": "zelto_default"}
    vars(trigger).update(rendered)
    assert await first_event(trigger) == {"result": [stored]}


@pytest.mark.parametrize(
    ("rendered", "field"),
    [({"conversation_id": "x"}, "conversation_id"), ({"updated_after": ""}, "updated_after")],
)
async def test_the_event_carries_what_is_wrong_with_a_rendered_argument(emulator, rendered, field):
    trigger = make_trigger("{{ params.call }}")
    vars(trigger).update({"conversation_id": CALL, **rendered})
    event = await first_event(trigger)
    with pytest.raises(InvalidMetricError) as caught:
        event_result(as_json(event))
    assert [error.field for error in caught.value.errors] == [field]
    assert emulator.journal() == []


async def test_an_event_loop_goes_on_while_a_trigger_waits_for_an_answer(emulator, call):
    emulator.add_metric(call, "a", score=1)
    emulator.settings(latency=0.5)
    waiting = asyncio.create_task(first_event(make_trigger(call)))
    turns = 0
    while not waiting.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 50
    assert (await waiting)["result"]


async def test_many_triggers_wait_in_one_event_loop(emulator, call):
    emulator.add_metric(call, "a", score=1, after=0.3)
    triggers = [make_trigger(call, labels=["a"], poke_interval=0.2) for _ in range(100)]
    events = await asyncio.gather(*map(first_event, triggers))
    assert events == [{"result": emulator.metrics(call)}] * 100


async def test_a_trigger_bears_failures(emulator, connect, call, short_pauses):
    connect(emulator.url, extra={"max_retries": 0})
    emulator.add_metric(call, "a", score=1)
    emulator.fault(status=503, count=2)
    emulator.fault(action="cut_body", count=2)
    emulator.fault(status=404, count=2)
    assert json.dumps(await first_event(make_trigger(call, max_consecutive_failures=5)))
    assert len(emulator.journal()) >= 7
