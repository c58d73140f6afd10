from __future__ import annotations

import asyncio
import gc
import time

import pytest
from airflow.models.trigger import Trigger

from airflow_provider_zelto.exceptions import InvalidMetricError, error_from_json
from airflow_provider_zelto.triggers import zelto as triggers
from airflow_provider_zelto.triggers.zelto import CustomerMetricsCoverageTrigger
from tests.answers import CALL
from tests.conftest import API_KEY
from tests.sensors.waiting import as_json, first_event, stored_and_loaded
from tests.test_coverage import calls as ids_of_calls


def make_trigger(conversation_ids, **arguments):
    return CustomerMetricsCoverageTrigger(
        conversation_ids=conversation_ids, **{"poke_interval": 0.02, **arguments}
    )


@pytest.fixture
def calls(emulator):
    made = [emulator.add_conversation() for _ in range(20)]
    for call in made:
        emulator.add_metric(call, "a", score=1)
    return made


FULL = {
    "labels": ["b", "a"],
    "min_coverage": 0.5,
    "updated_after": "2026-01-02T13:00:00+01:00",
    "concurrency": 4,
    "covered": 7,
    "waiting_since": 1767355200.5,
    "zelto_conn_id": "zelto_other",
    "poke_interval": 7,
    "max_consecutive_failures": 3,
}


@pytest.mark.parametrize("conversation_ids", [[CALL.upper(), *ids_of_calls(3)], "s3://bucket/calls.txt"])
@pytest.mark.parametrize("arguments", [{}, FULL])
def test_a_trigger_made_again_from_what_airflow_stores_is_the_same(conversation_ids, arguments):
    trigger = make_trigger(conversation_ids, **arguments)
    path, kwargs = trigger.serialize()
    assert path == "airflow_provider_zelto.triggers.zelto.CustomerMetricsCoverageTrigger"
    assert as_json(kwargs) == kwargs
    assert stored_and_loaded(trigger).serialize() == (path, kwargs)
    assert stored_and_loaded(trigger).condition == trigger.condition
    row = Trigger.from_object(trigger)
    assert CustomerMetricsCoverageTrigger(**row.kwargs).serialize() == (path, kwargs)
    assert API_KEY not in str(row.kwargs)


def test_bad_arguments_are_refused():
    with pytest.raises(InvalidMetricError) as caught:
        make_trigger(["x"], labels="a", min_coverage=2)
    assert [error.field for error in caught.value.errors] == ["conversation_ids", "labels", "min_coverage"]


async def test_the_event_carries_the_summary_as_json(calls):
    event = await first_event(make_trigger(calls, covered=5, waiting_since=time.time() - 100))
    assert as_json(event) == event
    assert 100 <= event["result"].pop("seconds") < 110
    assert event == {"result": {"calls": 25, "covered": 25, "missing": []}}


async def test_the_calls_found_before_count(emulator, calls):
    emulator.fault(status=404, path=calls[0])
    event = await first_event(make_trigger(calls, covered=80, min_coverage=0.99))
    assert event["result"]["covered"] == 99
    assert event["result"]["missing"] == calls[:1]


async def test_a_trigger_only_asks(emulator, calls):
    await first_event(make_trigger(calls))
    assert [entry["method"] for entry in emulator.journal()] == ["GET"] * 20


async def test_the_event_carries_the_error_as_json(emulator, connect, calls):
    connect(emulator.url, password="wrong-key")
    event = await first_event(make_trigger(calls))
    assert error_from_json(as_json(event)["error"]).status_code == 401


async def test_a_trigger_bears_failures(emulator, connect, calls, short_pauses):
    connect(emulator.url, extra={"max_retries": 0})
    emulator.fault(status=503, count=30)
    emulator.fault(action="cut_body", count=4)
    event = await first_event(make_trigger(calls, concurrency=4, max_consecutive_failures=20))
    assert event["result"]["covered"] == 20


async def test_a_trigger_goes_on_after_a_restart(emulator, calls):
    late = emulator.add_conversation()
    trigger = make_trigger([*calls, late])
    before = asyncio.create_task(first_event(trigger))
    await asyncio.sleep(0.3)
    before.cancel()
    with pytest.raises(asyncio.CancelledError):
        await before
    emulator.add_metric(late, "a", score=1)
    event = await first_event(stored_and_loaded(trigger))
    assert event["result"]["covered"] == 21


async def test_an_event_loop_goes_on_while_a_trigger_reads_a_file(emulator, calls, tmp_path, monkeypatch):
    file = tmp_path / "calls.txt"
    file.write_text("\n".join(calls))
    read_calls = triggers.read_calls

    def read_slowly(*args, **kwargs):
        time.sleep(0.5)
        return read_calls(*args, **kwargs)

    monkeypatch.setattr(triggers, "read_calls", read_slowly)
    waiting = asyncio.create_task(first_event(make_trigger(f"file://{file}")))
    longest = 0.0
    while not waiting.done():
        before = time.monotonic()
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - before)
    assert longest < 0.4
    assert (await waiting)["result"]["covered"] == 20


async def test_a_file_that_names_no_calls_ends_the_wait_with_what_is_wrong(emulator, tmp_path):
    file = tmp_path / "calls.txt"
    file.write_text("x\n")
    event = await first_event(make_trigger(f"file://{file}"))
    with pytest.raises(InvalidMetricError, match=r"'x' \(number 1\)"):
        raise error_from_json(as_json(event)["error"])


async def test_a_file_that_cannot_be_read_breaks_the_trigger(emulator, tmp_path):
    with pytest.raises(FileNotFoundError):
        await first_event(make_trigger(f"file://{tmp_path}/none.txt"))


def test_a_wait_leaves_little_to_the_garbage_collector(emulator, calls):
    """A full collection of a triggerer's heap stops every wait in it, so that none should cause one."""
    late = emulator.add_conversation()
    emulator.fault(status=404, path=late, count=100)
    trigger = make_trigger([late], poke_interval=0.001)
    rounds = 50

    async def wait_for_a_while():
        async with trigger.hook() as hook:
            wait = asyncio.create_task(trigger._wait(hook))
            while len(emulator.journal()) < 5:
                await asyncio.sleep(0.01)
            gc.collect()
            gc.disable()
            try:
                while len(emulator.journal()) < 5 + rounds:
                    await asyncio.sleep(0.01)
                return gc.collect()
            finally:
                gc.enable()
                wait.cancel()

    # The emulator lives in this process too, and leaves a little; a cycle a round is 24 objects and more.
    assert asyncio.run(wait_for_a_while()) < 10 * rounds
