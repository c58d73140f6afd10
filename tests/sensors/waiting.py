"""Running a sensor to its end as Airflow would, in each of the ways in which a sensor can wait."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest import mock

from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_zelto.sensors.base import PollSensor
from airflow_provider_zelto.triggers.base import PollTrigger
from tests.conftest import AIRFLOW_VERSION

MakeSensor = Callable[[], PollSensor[Any]]

MODES = {
    "poke": {"deferrable": False},
    "reschedule": {"deferrable": False, "mode": "reschedule"},
    "deferrable": {"deferrable": True},
}


def run_poking(make: MakeSensor) -> Any:
    return make().execute({})


def run_rescheduled(make: MakeSensor) -> Any:
    """Run a new sensor each time, as a worker does, until it no longer asks to be rescheduled."""
    started = datetime.now(UTC)
    while (datetime.now(UTC) - started).total_seconds() < 30:
        try:
            with _known_start(started):
                return make().execute({"ti": _task_instance(started)})
        except AirflowRescheduleException as rescheduled:
            pause = (rescheduled.reschedule_date - datetime.now(UTC)).total_seconds()
            time.sleep(max(0.0, pause))
    raise AssertionError("the sensor asks to be rescheduled for ever")


def run_deferred(make: MakeSensor) -> Any:
    """Let a trigger wait that was made again from what Airflow stores, and give its event to a new sensor."""
    try:
        return make().execute({})
    except TaskDeferred as deferred:
        timeout = deferred.timeout.total_seconds()
        trigger = stored_and_loaded(deferred.trigger)
        try:
            event = {"event": as_json(asyncio.run(asyncio.wait_for(first_event(trigger), timeout)))}
        except TimeoutError:
            return make().resume_execution("__fail__", {"error": "Trigger timeout"}, {})
        return make().resume_execution(deferred.method_name, event, {})


RUN = {"poke": run_poking, "reschedule": run_rescheduled, "deferrable": run_deferred}


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


def stored_and_loaded(trigger: PollTrigger[Any]) -> PollTrigger[Any]:
    """Make a trigger again from what it serializes to."""
    path, kwargs = trigger.serialize()
    assert path == f"{type(trigger).__module__}.{type(trigger).__name__}"
    return type(trigger)(**as_json(kwargs))


async def first_event(trigger: PollTrigger[Any]) -> Any:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger ended without an event")


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
