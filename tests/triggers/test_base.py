from __future__ import annotations

import asyncio
import contextlib
import json
from types import SimpleNamespace

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from airflow_provider_zelto import conditions
from airflow_provider_zelto.exceptions import (
    APIConnectionError,
    APITimeoutError,
    error_from_json,
    status_error_class,
)
from airflow_provider_zelto.triggers import base
from airflow_provider_zelto.triggers.base import PollTrigger
from tests.conftest import AIRFLOW_VERSION
from tests.sensors.waiting import fired, first_event

ORIGIN = {"service": "Any", "method": "GET", "path": "/"}
LOST = APIConnectionError("lost", **ORIGIN)


def status_error(status):
    return status_error_class(status)(f"{status}", **ORIGIN, status_code=status, details={"a": [1]})


class Hook:
    """A hook that says what happened to it."""

    def __init__(self):
        self.events = []

    async def __aenter__(self):
        self.events.append("opened")
        return self

    async def __aexit__(self, *exception):
        self.events.append("closed")


class Scripted(PollTrigger):
    """A trigger whose questions have the given answers, one after the other."""

    def __init__(self, *answers, poke_interval=5.0, **options):
        super().__init__(poke_interval=poke_interval, **options)
        self.answers = list(answers)
        self.the_hook = Hook()

    def arguments(self):
        return {"answers": len(self.answers)}

    def hook(self):
        return self.the_hook

    async def poke(self, hook):
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def slept(monkeypatch):
    """Let no time pass, but note how much would have."""
    pauses = []

    async def note(seconds):
        pauses.append(seconds)
        await asyncio.sleep(0)

    # Only in that module: the emulator's event loop goes on sleeping as usual.
    monkeypatch.setattr(base, "asyncio", SimpleNamespace(sleep=note))
    return pauses


async def test_a_trigger_fires_once_with_what_it_found(slept):
    trigger = Scripted(["found"])
    assert [event.payload async for event in trigger.run()] == [{"result": ["found"]}]
    assert slept == []


@pytest.mark.parametrize("result", [[], {}, 0, False, ""])
async def test_only_none_means_that_there_is_nothing_yet(slept, result):
    assert await first_event(Scripted(None, None, result)) == {"result": result}
    assert slept == [5.0, 5.0]


async def test_a_trigger_sleeps_after_every_outcome(slept, monkeypatch):
    monkeypatch.setattr(conditions, "_LONGEST_PAUSE", 0.0)
    answers = [None, LOST, None, status_error(404), status_error(503), status_error(429), None]
    assert await first_event(Scripted(*answers, 1)) == {"result": 1}
    assert slept == [5.0] * len(answers)


async def test_a_trigger_waits_longer_after_failures(slept):
    await first_event(Scripted(*[LOST] * 8, 1, poke_interval=0.5))
    assert all(2**number / 2 <= pause <= 2**number for number, pause in enumerate(slept[:5], start=1))
    assert all(30 <= pause <= 60 for pause in slept[5:])


@pytest.mark.parametrize("answer", [None, status_error(404)])
async def test_an_answer_starts_the_count_of_failures_anew(slept, answer):
    trigger = Scripted(*[LOST, LOST, answer] * 5, "found", max_consecutive_failures=3)
    assert await first_event(trigger) == {"result": "found"}


@pytest.mark.parametrize(
    "error", [LOST, APITimeoutError("late", **ORIGIN), status_error(503), status_error(429)]
)
async def test_too_many_failures_in_a_row_make_an_event_of_the_last(slept, error):
    event = await first_event(Scripted(None, LOST, LOST, error, "too late", max_consecutive_failures=3))
    rebuilt = error_from_json(json.loads(json.dumps(event, allow_nan=False))["error"])
    assert (type(rebuilt), str(rebuilt), vars(rebuilt)) == (type(error), str(error), vars(error))
    assert len(slept) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 422])
async def test_a_refusal_makes_an_event_at_once(slept, status):
    event = await first_event(Scripted(status_error(status), "too late"))
    assert error_from_json(event["error"]).status_code == status
    assert slept == []


async def test_what_is_no_error_of_the_service_breaks_the_trigger(slept):
    with pytest.raises(KeyError):
        await first_event(Scripted(KeyError("a mistake")))


async def test_a_failure_is_told_in_the_log_with_the_time_until_the_next_question(slept, logged):
    await first_event(Scripted(LOST, status_error(503), 1))
    warnings = [line.text for line in logged() if line.level == "WARNING"]
    assert [warning.partition(" Asking again in ")[0] for warning in warnings] == ["lost", "503"]


@pytest.mark.parametrize(
    "answers", [["found"], [status_error(401)], [KeyError("a mistake")]], ids=["found", "refused", "broken"]
)
async def test_the_hook_is_closed_before_the_event_is_fired(slept, answers):
    trigger = Scripted(*answers)
    with contextlib.suppress(KeyError):
        await first_event(trigger)
    assert trigger.the_hook.events == ["opened", "closed"]


async def test_a_trigger_that_is_cancelled_closes_its_hook():
    trigger = Scripted(None, poke_interval=60)
    waiting = asyncio.create_task(first_event(trigger))
    await asyncio.sleep(0.01)
    assert trigger.the_hook.events == ["opened"]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert trigger.the_hook.events == ["opened", "closed"]


def in_task(trigger):
    """Tell a trigger whose it is, as a triggerer does."""
    where = {"dag_id": "d", "task_id": "t", "run_id": "r", "map_index": 3}
    trigger.task_instance = SimpleNamespace(**where)
    return trigger, where


@pytest.fixture
def xcom_set(mocker):
    if AIRFLOW_VERSION < (3, 0):
        pytest.skip("Airflow 2 stores the XComs of an event as a worker does")
    return mocker.patch("airflow.sdk.execution_time.xcom.XCom.set", autospec=True)


@pytest.mark.skipif(AIRFLOW_VERSION >= (3, 0), reason="Airflow 3 stores the XComs of an event as text")
@pytest.mark.parametrize(("pushes", "xcoms"), [(True, {"return_value": ["found"]}), (False, None)])
async def test_on_airflow_2_a_task_ends_with_the_result_in_the_event(slept, pushes, xcoms):
    trigger, _ = in_task(Scripted(["found"], end_from_trigger=True, do_xcom_push=pushes))
    event = await fired(trigger)
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms == xcoms


async def test_on_airflow_3_a_task_ends_with_the_result_stored_as_a_worker_stores_it(slept, xcom_set):
    trigger, where = in_task(Scripted(None, ["found"], end_from_trigger=True))
    event = await fired(trigger)
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms is None
    (stored,) = xcom_set.call_args_list
    assert stored.kwargs == {"key": "return_value", "value": ["found"], **where}


async def test_a_task_that_wants_no_xcom_ends_without_one(slept, xcom_set):
    trigger, _ = in_task(Scripted(["found"], end_from_trigger=True, do_xcom_push=False))
    event = await fired(trigger)
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms is None
    assert xcom_set.call_args_list == []


async def test_a_worker_ends_the_task_when_the_xcom_is_not_taken(slept, xcom_set, logged):
    xcom_set.side_effect = RuntimeError("no room")
    trigger, _ = in_task(Scripted(["found"], end_from_trigger=True))
    event = await fired(trigger)
    assert (type(event), event.payload) == (TriggerEvent, {"result": ["found"]})
    (warning,) = [line.text for line in logged() if line.level == "WARNING"]
    assert "no room" in warning


async def test_a_task_that_ends_without_airflow_around_it_has_its_result_in_the_payload(slept):
    event = await fired(Scripted(["found"], end_from_trigger=True))
    assert isinstance(event, TaskSuccessEvent)
    assert event.payload == {"result": ["found"]}


async def test_a_worker_fails_the_task_after_an_error(slept, mocker):
    trigger, _ = in_task(Scripted(status_error(403), end_from_trigger=True))
    event = await fired(trigger)
    assert type(event) is TriggerEvent
    assert error_from_json(event.payload["error"]).status_code == 403


def test_what_airflow_stores_of_a_trigger_includes_how_the_task_ends():
    _, kwargs = Scripted(end_from_trigger=True, do_xcom_push=False).serialize()
    assert (kwargs["end_from_trigger"], kwargs["do_xcom_push"]) == (True, False)


def test_what_airflow_stores_of_a_trigger_includes_how_it_asks():
    trigger = Scripted(1, 2, poke_interval=7, max_consecutive_failures=3)
    assert trigger.serialize() == (
        f"{__name__}.Scripted",
        {"answers": 2, "poke_interval": 7, "max_consecutive_failures": 3},
    )
