"""The trigger that every wait stands on: ask, sleep, and ask again until there is an answer or no hope."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from typing import Any, Generic, TypeVar

from airflow import __version__ as airflow_version
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent
from pydantic_core import to_jsonable_python

from airflow_provider_zelto.arguments import is_templated
from airflow_provider_zelto.conditions import MAX_CONSECUTIVE_FAILURES, Condition, Failures
from airflow_provider_zelto.exceptions import (
    APIError,
    InvalidConnectionError,
    InvalidMetricError,
    error_from_json,
    error_to_json,
)
from airflow_provider_zelto.hooks.base import APIHook

H = TypeVar("H", bound=APIHook)
C = TypeVar("C", bound=Condition)

_IS_AIRFLOW_3 = not airflow_version.startswith("2.")


class PollTrigger(BaseTrigger, Generic[H]):
    """
    Ask a service at an interval until what a task waits for is there.

    It sleeps after every outcome, bears failures in a row up to a limit, and keeps no clock: a task's timeout
    is Airflow's business. Its one event carries the result, or the error to raise in the task.

    :param poke_interval: seconds between two questions.
    :param max_consecutive_failures: how many failures in a row end the wait.
    :param end_from_trigger: end the task as successful once there is a result, without a worker. What is to
        fail or skip the task goes to a worker all the same: only there does Airflow tell one from the other.
    :param do_xcom_push: whether the task's end leaves the result as XCom.
    """

    hook_class: type[H]

    def __init__(
        self,
        *,
        poke_interval: float,
        max_consecutive_failures: int = MAX_CONSECUTIVE_FAILURES,
        end_from_trigger: bool = False,
        do_xcom_push: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poke_interval = poke_interval
        self.max_consecutive_failures = max_consecutive_failures
        self.end_from_trigger = end_from_trigger
        self.do_xcom_push = do_xcom_push

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Give the arguments that make this trigger again, as JSON data, without those of the base."""

    def hook(self) -> H:
        """Make the hook to ask with."""
        return self.hook_class.of(self)

    @abstractmethod
    async def poke(self, hook: H) -> Any:
        """Ask once; give the result as JSON data, or None to go on waiting."""

    def is_success(self, result: Any) -> bool:
        """Tell whether a task may end with this result as it is."""
        return True

    def summary(self, result: Any) -> str:
        """Say what was found."""
        return "Found what was waited for."

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what Airflow stores to make this trigger again."""
        ending = (
            {"end_from_trigger": True, "do_xcom_push": self.do_xcom_push} if self.end_from_trigger else {}
        )
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            **self.arguments(),
            "poke_interval": self.poke_interval,
            "max_consecutive_failures": self.max_consecutive_failures,
            **ending,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until there is a result or no hope of one, and fire once."""
        try:
            async with self.hook() as hook:
                event = await self._wait(hook)
        except (InvalidConnectionError, InvalidMetricError) as error:
            # A task that starts here has met no worker yet that would have found it out.
            event = {"error": error_to_json(error)}
        yield await self._end(event)

    async def _wait(self, hook: H) -> dict[str, Any]:
        failures = Failures(limit=self.max_consecutive_failures, poke_interval=self.poke_interval)
        while True:
            try:
                result = await self.poke(hook)
            except APIError as error:
                # It refers to this frame, which refers to it: see AsyncAPIClient.send about garbage.
                error.__traceback__ = None
                pause = failures.pause_after(error)
                if pause is None:
                    return {"error": error_to_json(error)}
                self.log.warning("%s Asking again in %.1f s.", error, pause)
                await asyncio.sleep(pause)
            else:
                failures.forget()
                if result is not None:
                    return {"result": result}
                await asyncio.sleep(self.poke_interval)

    async def _end(self, event: dict[str, Any]) -> TriggerEvent:
        """Make the event that ends the task, or the one that a worker goes on with."""
        if not self.end_from_trigger or "error" in event or not self.is_success(event["result"]):
            return TriggerEvent(event)
        xcoms = {"return_value": event["result"]} if self.do_xcom_push else None
        if xcoms and _IS_AIRFLOW_3 and self.task_instance is not None:
            try:
                await self._push(xcoms)
            except Exception as error:
                self.log.warning("The XCom was not taken (%r); a worker ends the task instead.", error)
                return TriggerEvent(event)
            xcoms = None
        self.log.info(self.summary(event["result"]))
        end = TaskSuccessEvent(xcoms=xcoms)
        # dag.test() knows no such end: it goes on with the payload as if in a worker.
        end.payload = event
        return end

    async def _push(self, xcoms: dict[str, Any]) -> None:
        """Store XComs as a worker does; those of an event Airflow 3 stores as text, past any XCom backend."""
        from airflow.providers.common.compat.sdk import XCom
        from asgiref.sync import sync_to_async

        ti = self.task_instance
        where = {name: getattr(ti, name) for name in ("dag_id", "task_id", "run_id", "map_index")}
        for key, value in xcoms.items():
            await sync_to_async(XCom.set)(key=key, value=value, **where)


class ConditionTrigger(PollTrigger[H], Generic[H, C]):
    """
    Ask until a condition is met.

    Its arguments may still be templates when it is made: Airflow 3.3 renders the attributes that are named as
    the task's template fields before it runs the trigger. Any error other than a literal's, which the sensor
    has found before, would end the triggerer if it were raised here.

    :param condition_class: class of the condition.
    :param arguments: what makes the condition.
    :param polling: the arguments of :class:`PollTrigger`.
    """

    def __init__(self, condition_class: type[C], arguments: Mapping[str, Any], **polling: Any) -> None:
        super().__init__(**polling)
        self._condition_class = condition_class
        condition_class.check_literals(arguments)
        if is_templated(arguments):
            # Sets have no order, and a DAG that is stored in a new one each time looks like a new DAG.
            ordered = {
                name: sorted(value) if isinstance(value, set | frozenset) else value
                for name, value in arguments.items()
            }
            vars(self).update(to_jsonable_python(ordered))
        else:
            vars(self).update(condition_class.check(arguments).to_json())

    @cached_property
    def condition(self) -> C:
        """What is waited for."""
        return self._condition_class.check(self._given())

    def summary(self, result: Any) -> str:
        """Say what was found."""
        return self.condition.summary(result)

    def arguments(self) -> dict[str, Any]:
        """Give what makes the condition, and the connection id."""
        connection = self.hook_class.conn_name_attr
        return {**self._given(), connection: getattr(self, connection)}

    def _given(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._condition_class.model_fields}


def event_result(event: dict[str, Any]) -> Any:
    """
    Give the result that a :class:`PollTrigger`'s event carries.

    :raises APIError: the error it carries instead.
    """
    if "error" in event:
        raise error_from_json(event["error"])
    return event["result"]
