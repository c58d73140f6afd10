"""Running a sensor to its end as Airflow would, in each of the ways in which a sensor can wait."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest import mock

from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from airflow_provider_zelto.sensors.base import PollSensor
from airflow_provider_zelto.triggers.base import PollTrigger
from tests.conftest import AIRFLOW_VERSION

MakeSensor = Callable[[], PollSensor[Any]]

MODES = {
    "poke": {"deferrable": False},
    "reschedule": {"deferrable": False, "mode": "reschedule"},
    "deferrable": {"deferrable": True},
}

# Airflow 3.1 and 3.2 start every task in a worker.
STARTS_IN_TRIGGERER = AIRFLOW_VERSION not in ((3, 1), (3, 2))
_IN_TRIGGERER = {"start_from_trigger": True, "end_from_trigger": True}
CALL_MODES = {**MODES, **({"triggerer": _IN_TRIGGERER} if STARTS_IN_TRIGGERER else {})}


def run_poking(make: MakeSensor) -> Any:
    return make().execute({})


def run_rescheduled(make: MakeSensor, **context: Any) -> Any:
    """Run a new sensor each time, as a worker does, until it no longer asks to be rescheduled."""
    started = datetime.now(UTC)
    while (datetime.now(UTC) - started).total_seconds() < 30:
        try:
            with _known_start(started):
                return make().execute({"ti": _task_instance(started), **context})
        except AirflowRescheduleException as rescheduled:
            pause = (rescheduled.reschedule_date - datetime.now(UTC)).total_seconds()
            time.sleep(max(0.0, pause))
    raise AssertionError("the sensor asks to be rescheduled for ever")


def run_deferred(make: MakeSensor) -> Any:
    """Let a trigger wait that was made again from what Airflow stores, and give its event to a new sensor."""
    try:
        return make().execute({})
    except TaskDeferred as deferred:
        trigger = stored_and_loaded(deferred.trigger)
        return _wait_in_triggerer(make, trigger, deferred.timeout, deferred.method_name)


def run_in_triggerer(make: MakeSensor) -> Any:
    """Begin with the trigger that the sensor tells Airflow of, as a scheduler does."""
    start = make().start_trigger_args
    module, _, name = start.trigger_cls.rpartition(".")
    trigger = getattr(import_module(module), name)(**as_json(start.trigger_kwargs))
    return _wait_in_triggerer(make, trigger, start.timeout, start.next_method)


def _wait_in_triggerer(
    make: MakeSensor, trigger: PollTrigger[Any], timeout: timedelta, next_method: str
) -> Any:
    try:
        event = asyncio.run(asyncio.wait_for(fired(trigger), timeout.total_seconds()))
    except TimeoutError:
        return make().resume_execution("__fail__", {"error": "Trigger timeout"}, {})
    payload = as_json(event.payload)
    if isinstance(event, TaskSuccessEvent):
        return payload["result"]
    return make().resume_execution(next_method, {"event": payload}, {})


RUN = {
    "poke": run_poking,
    "reschedule": run_rescheduled,
    "deferrable": run_deferred,
    "triggerer": run_in_triggerer,
}


def deferral_of(sensor: PollSensor[Any]) -> TaskDeferred:
    """Run a sensor that is to go on in the triggerer, and give what it says to Airflow."""
    try:
        sensor.execute({})
    except TaskDeferred as deferred:
        return deferred
    raise AssertionError("the sensor does not defer")


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


def stored_and_loaded(trigger: PollTrigger[Any]) -> PollTrigger[Any]:
    """Make a trigger again from what it serializes to."""
    path, kwargs = trigger.serialize()
    assert path == f"{type(trigger).__module__}.{type(trigger).__name__}"
    return type(trigger)(**as_json(kwargs))


async def fired(trigger: PollTrigger[Any]) -> TriggerEvent:
    async for event in trigger.run():
        return event
    raise AssertionError("the trigger ended without an event")


async def first_event(trigger: PollTrigger[Any]) -> Any:
    return (await fired(trigger)).payload


def _known_start(started: datetime) -> AbstractContextManager[Any]:
    """Tell a sensor when it was started for the first time, where Airflow 2 looks that up in its database."""
    if AIRFLOW_VERSION >= (3, 0):
        return nullcontext()
    return mock.patch("airflow.sensors.base._orig_start_date", autospec=True, return_value=started)


def _task_instance(started: datetime) -> SimpleNamespace:
    known = {"dag_id": "d", "task_id": "t", "run_id": "r", "map_index": -1, "max_tries": 0}
    if AIRFLOW_VERSION >= (3, 0):
        known["get_first_reschedule_date"] = lambda context: started
    return SimpleNamespace(**known)
