"""The trigger that every wait stands on: ask, sleep, and ask again until there is an answer or no hope."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_zelto.conditions import MAX_CONSECUTIVE_FAILURES, Failures
from airflow_provider_zelto.exceptions import APIError, error_from_json, error_to_json
from airflow_provider_zelto.hooks.base import APIHook

H = TypeVar("H", bound=APIHook)


class PollTrigger(BaseTrigger, Generic[H]):
    """
    Ask a service at an interval until what a task waits for is there.

    It sleeps after every outcome, bears failures in a row up to a limit, and keeps no clock: a task's timeout
    is Airflow's business. Its one event carries the result, or the error to raise in the task.

    :param poke_interval: seconds between two questions.
    :param max_consecutive_failures: how many failures in a row end the wait.
    """

    def __init__(
        self, *, poke_interval: float, max_consecutive_failures: int = MAX_CONSECUTIVE_FAILURES
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poke_interval = poke_interval
        self.max_consecutive_failures = max_consecutive_failures

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Give the arguments that make this trigger again, as JSON data, without those of the base."""

    @abstractmethod
    def hook(self) -> H:
        """Make the hook to ask with."""

    @abstractmethod
    async def poke(self, hook: H) -> Any:
        """Ask once; give the result as JSON data, or None to go on waiting."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what Airflow stores to make this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            **self.arguments(),
            "poke_interval": self.poke_interval,
            "max_consecutive_failures": self.max_consecutive_failures,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until there is a result or no hope of one, and fire once."""
        async with self.hook() as hook:
            event = await self._wait(hook)
        yield TriggerEvent(event)

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


def event_result(event: dict[str, Any]) -> Any:
    """
    Give the result that a :class:`PollTrigger`'s event carries.

    :raises APIError: the error it carries instead.
    """
    if "error" in event:
        raise error_from_json(event["error"])
    return event["result"]
