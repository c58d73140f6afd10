"""Which of many calls have the metrics that are waited for, and asking for those that do not yet."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypedDict

from airflow.providers.common.compat.sdk import AirflowFailException
from pydantic import BeforeValidator

from airflow_provider_zelto.arguments import (
    DEFAULT_CONCURRENCY,
    Arguments,
    Concurrency,
    OptionalNames,
    PointInTime,
    number,
    refuse,
)
from airflow_provider_zelto.calls import CALLS_NAMED, Calls, call_ids, named
from airflow_provider_zelto.conditions import updated_since
from airflow_provider_zelto.event_loops import cancelled
from airflow_provider_zelto.exceptions import APIError, NotFoundError
from airflow_provider_zelto.models import CustomerMetric


def _share(value: Any) -> float:
    # With none of the calls there would be nothing to wait for.
    return number(0, 1)(value) or refuse("a number above 0, at most 1")


class CoverageSummary(TypedDict):
    """
    How far a wait for many calls has come, for XCom.

    ``calls``: how many were waited for. ``covered``: how many of them have what was waited for. ``missing``:
    ids of at most 20 of the others. ``seconds``: how long the wait took.
    """

    calls: int
    covered: int
    missing: list[str]
    seconds: float


class CoverageCondition(Arguments):
    """
    What a wait for many calls asks for.

    :ivar conversation_ids: the calls, or the URI of a file that names them.
    :ivar labels: labels that a call must all have; None for any metric.
    :ivar min_coverage: share of the calls that must have them.
    :ivar updated_after: earliest ``updatedAt`` that counts, inclusive; None for any.
    :ivar concurrency: how many calls are asked for at once.
    """

    conversation_ids: Annotated[Calls, BeforeValidator(call_ids(1))]
    labels: OptionalNames = None
    min_coverage: Annotated[float, BeforeValidator(_share)] = 1.0
    updated_after: PointInTime = None
    concurrency: Concurrency = DEFAULT_CONCURRENCY

    def covers(self, metrics: Iterable[CustomerMetric]) -> bool:
        """Tell whether a call with these metrics has what is waited for."""
        found = {metric["label"] for metric in updated_since(metrics, self.updated_after)}
        return bool(found) if self.labels is None else self.labels <= found

    def to_json(self) -> dict[str, Any]:
        """Give the arguments that make this condition again, as JSON data."""
        calls = self.conversation_ids
        return {
            "conversation_ids": calls if isinstance(calls, str) else list(calls),
            "labels": sorted(self.labels) if self.labels else None,
            "min_coverage": self.min_coverage,
            "updated_after": self.updated_after.isoformat() if self.updated_after else None,
            "concurrency": self.concurrency,
        }


class Coverage:
    """
    How far a wait has come: a call that has what is waited for is not asked for again.

    :param condition: what is waited for.
    :param calls: the calls to ask for.
    :param covered: how many more there are, which were found to have it before.
    """

    def __init__(self, condition: CoverageCondition, calls: Sequence[str], covered: int = 0) -> None:
        self.condition = condition
        self._given = tuple(calls)
        self.missing = dict.fromkeys(calls)
        self.calls = len(self.missing) + covered
        self._stopped = False

    @property
    def covered(self) -> int:
        """How many calls have what is waited for."""
        return self.calls - len(self.missing)

    @property
    def is_enough(self) -> bool:
        """Tell whether the wait is over."""
        return self.covered / self.calls >= self.condition.min_coverage

    def stop(self) -> None:
        """Ask for nothing more; may be called from another thread."""
        self._stopped = True

    def state(self) -> dict[str, str]:
        """Give what :meth:`go_on` takes: a bit for each call, small enough to be kept for another process."""
        bits = "".join("0" if call in self.missing else "1" for call in self._given)
        return {"digest": self._digest(), "covered": f"{int(f'1{bits}', 2):x}"}

    def go_on(self, state: Any) -> None:
        """Leave out the calls that another process has found, if it waited for the same."""
        if isinstance(state, Mapping) and state.get("digest") == self._digest():
            bits = f"{int(state['covered'], 16):b}"[1:]
            for call, bit in zip(self._given, bits, strict=True):
                if bit == "1":
                    self.missing.pop(call, None)

    def _digest(self) -> str:
        told = self.condition.to_json()
        waited_for = (self._given, told["labels"], told["updated_after"])
        return hashlib.blake2b(repr(waited_for).encode(), digest_size=16).hexdigest()

    def summary(self, seconds: float) -> CoverageSummary:
        """Sum up."""
        return {
            "calls": self.calls,
            "covered": self.covered,
            "missing": list(self.missing)[:CALLS_NAMED],
            "seconds": round(max(0.0, seconds), 3),
        }

    def __str__(self) -> str:
        # In one step: another thread may be taking calls out meanwhile.
        missing = list(self.missing)
        told = f"{self.calls - len(missing)} of {self.calls} calls have what is waited for"
        return f"{told}; missing: {named(missing, len(missing))}" if missing else told

    async def ask(
        self, ask: Callable[[str], Awaitable[list[CustomerMetric]]], *, max_failures: int
    ) -> APIError | None:
        """
        Ask once for every call that is missing, so many at a time as the condition says.

        A call that Zelto does not know yet is missing still. Calls whose requests fail are missing still too.

        :param ask: gives a call's metrics.
        :param max_failures: so many failures with no answer in between leave the rest for another time.
        :return: the last failure, if some calls could not be asked for.
        :raises APIError: when asking again is no use, or when there was no answer at all.
        """
        calls = iter(list(self.missing))
        answers = in_a_row = 0
        failure: APIError | None = None

        async def work() -> None:
            nonlocal answers, in_a_row, failure
            for call in calls:
                if self._stopped or in_a_row >= max_failures:
                    return
                try:
                    metrics = await ask(call)
                except APIError as error:
                    # It refers to this frame, which refers to it: see AsyncAPIClient.send about garbage.
                    error.__traceback__ = None
                    if isinstance(error, AirflowFailException):
                        raise
                    if not isinstance(error, NotFoundError):
                        failure = error
                        in_a_row += 1
                        continue
                    metrics = []
                answers += 1
                in_a_row = 0
                if self.condition.covers(metrics):
                    del self.missing[call]

        await _together([work() for _ in range(min(self.condition.concurrency, len(self.missing)))])
        if failure is not None and not answers:
            raise failure
        return failure


async def _together(work: Iterable[Awaitable[None]]) -> None:
    """Run coroutines side by side; when one fails, or this is cancelled, none goes on."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        await cancelled(tasks)
