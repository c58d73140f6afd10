"""The engine under every task that sends many requests: concurrent, paced, in order per key."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tenacity import AsyncRetrying, RetryCallState

from airflow_provider_zelto.api_client import AsyncAPIClient
from airflow_provider_zelto.api_request import APIRequest, RetryPolicy
from airflow_provider_zelto.event_loops import cancelled
from airflow_provider_zelto.exceptions import APIError, BadRequestError, NotFoundError, RateLimitError

T = TypeVar("T")

# A batch outlasts an API that is down for minutes: nobody wants to start 100,000 rows anew for that. A longer
# Retry-After than the budget has room for is left to the task's own retry.
PATIENT = RetryPolicy(max_retries=1000, budget=300, longest_retry_after=240)


@dataclass(frozen=True)
class Job(Generic[T]):
    """
    One request of a batch.

    :ivar number: position in the batch, from 1.
    :ivar row: what the request was made from, for whoever reads the outcome.
    :ivar key: jobs with the same key are sent one after the other, in the order of the batch.
    """

    number: int
    row: Any
    key: Hashable
    request: APIRequest[T]


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of a job: the result, or the error that this one row met."""

    job: Job[T]
    result: T | None = None
    error: APIError | None = None


class Pacer:
    """
    Decides when the next request may start, for all workers of a batch together.

    :param max_per_second: requests per second at most; None for no limit.
    :param sleep: how to sleep; it may raise to end the wait.
    """

    _CATCH_UP = 0.02  # seconds an event loop may be late without the rate falling behind
    _RECOVERY = 5.0  # seconds from a slow-down back to full speed

    def __init__(
        self, max_per_second: float | None, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._sleep = sleep
        self._full_rate = max_per_second or float("inf")
        self._slowed_rate = self._full_rate
        self._slowed_at = float("-inf")
        self._next_start = 0.0
        self._held_until = 0.0
        self._holds_in_a_row = 0
        self._starts: deque[float] = deque(maxlen=200)

    async def turn(self) -> float:
        """Wait until one more request may start; give the time when it does."""
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            start = max(self._next_start, now - self._CATCH_UP, self._held_until)
            self._next_start = start + 1 / self.rate(now)
            if start > now:
                await self._sleep(start - now)
            now = clock()
            # A hold that began during the sleep counts too.
            if now >= self._held_until:
                self._starts.append(now)
                return now

    def rate(self, now: float) -> float:
        """Give the requests per second that are allowed now: after a slow-down they come back bit by bit."""
        recovered = (now - self._slowed_at) / self._RECOVERY
        if recovered >= 1:
            return self._full_rate
        target = self._full_rate if self._full_rate != float("inf") else 2 * self._slowed_rate
        return self._slowed_rate + max(0.0, recovered) * (target - self._slowed_rate)

    def hold(self, retry_after: float | None, started: float) -> None:
        """
        Let nobody start for as long as the service asked, and go on slower than before.

        :param retry_after: seconds the service asked to wait, or None.
        :param started: when the request started that was told so.
        """
        now = asyncio.get_running_loop().time()
        if started < self._held_until:  # it was under way together with one that was told so before
            since = max(self._held_until, now)
            self._hold_until(max(since, now + (retry_after or 0)), since)
            return
        self._slowed_rate = max(1.0, 0.75 * min(self.rate(now), self._observed_rate(now)))
        self._holds_in_a_row += 1
        pause = retry_after if retry_after is not None else min(2.0**self._holds_in_a_row, 30)
        self._hold_until(now + pause + random.uniform(0, 0.1), now)

    def _hold_until(self, end: float, since: float) -> None:
        # A pause is no sign of a slow service: it is left out of the rate observed.
        self._starts = deque((start + end - since for start in self._starts), self._starts.maxlen)
        self._held_until = self._slowed_at = end

    def relax(self) -> None:
        """Note that the service took a request."""
        self._holds_in_a_row = 0

    def _observed_rate(self, now: float) -> float:
        return len(self._starts) / max(now - self._starts[0], 0.1) if self._starts else 1.0


class Batch(Generic[T]):
    """
    Sends jobs concurrently.

    A row that the service refuses (400, 404) is an outcome like any other. Everything else that repeating
    does not mend stops the batch: what is under way is finished, nothing more is sent, the error is raised.

    :param client: the client to send with.
    :param concurrency: how many requests are under way at once.
    :param max_requests_per_second: at most so many requests start in a second; None for no limit.
    """

    def __init__(
        self, client: AsyncAPIClient, *, concurrency: int, max_requests_per_second: float | None = None
    ) -> None:
        self.retries = 0
        self._client = client
        self._concurrency = concurrency
        self._pacer = Pacer(max_requests_per_second, self._sleep)
        self._last_of_key: dict[Hashable, asyncio.Future[None]] = {}
        self._stopped = asyncio.Event()
        self._error: BaseException | None = None

    @property
    def stopped(self) -> bool:
        """Tell whether nothing more is sent."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Finish what is under way and send nothing more."""
        self._stopped.set()

    async def outcomes(self, jobs: AsyncGenerator[Job[T], None]) -> AsyncGenerator[Outcome[T], None]:
        """
        Send the jobs and give their outcomes as they come, which is not the order of the jobs.

        :raises APIError: what stopped the batch, after all outcomes were given.
        """
        done: asyncio.Queue[Outcome[T] | None] = asyncio.Queue(maxsize=2 * self._concurrency)
        taking = asyncio.Lock()
        workers = [asyncio.create_task(self._work(jobs, taking, done)) for _ in range(self._concurrency)]
        try:
            working = len(workers)
            while working:
                outcome = await done.get()
                if outcome is None:
                    working -= 1
                else:
                    yield outcome
        finally:
            await cancelled(workers)
            await jobs.aclose()
        if self._error is not None:
            raise self._error

    async def _work(
        self, jobs: AsyncGenerator[Job[T], None], taking: asyncio.Lock, done: asyncio.Queue[Outcome[T] | None]
    ) -> None:
        try:
            while not self.stopped:
                async with taking:
                    job = await anext(jobs, None)
                    if job is None or self.stopped:
                        break
                    earlier = self._last_of_key.get(job.key)
                    mine = self._last_of_key[job.key] = asyncio.get_running_loop().create_future()
                try:
                    if earlier is not None:
                        await earlier
                        self._raise_if_stopped()
                    await done.put(await self._send(job))
                finally:
                    # A job that waited for this one, and was cancelled, has cancelled the future too.
                    if not mine.done():
                        mine.set_result(None)
                    if self._last_of_key.get(job.key) is mine:
                        del self._last_of_key[job.key]
        except asyncio.CancelledError:
            raise
        except _Stopped:
            pass
        except BaseException as error:
            self._error = self._error or error
            self.stop()
        await done.put(None)

    async def _send(self, job: Job[T]) -> Outcome[T]:
        try:
            return Outcome(job, result=await self._send_patiently(job.request))
        except (BadRequestError, NotFoundError) as error:
            return Outcome(job, error=error)

    async def _send_patiently(self, request: APIRequest[T]) -> T:
        try:
            return await self._attempt(request)
        except APIError as error:
            # Nearly every row goes through at once and is spared the cost of a retry loop.
            if not PATIENT.repeats(error):
                raise
            self.retries += 1
            asked = getattr(error, "retry_after", None) or 0
        await self._sleep(asked + random.uniform(0, 1))
        retrying = AsyncRetrying(sleep=self._sleep, **PATIENT.tenacity_options(self._count_retry))
        return await retrying(self._attempt, request)

    async def _attempt(self, request: APIRequest[T]) -> T:
        started = await self._pacer.turn()
        try:
            result = await self._client.attempt(request)
        except RateLimitError as error:
            self._pacer.hold(error.retry_after, started)
            raise
        self._pacer.relax()
        return result

    def _count_retry(self, _: RetryCallState) -> None:
        self.retries += 1

    async def _sleep(self, seconds: float) -> None:
        """Sleep before a retry, unless the batch is stopped: then the row has not been dealt with."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)
        self._raise_if_stopped()

    def _raise_if_stopped(self) -> None:
        if self.stopped:
            raise _Stopped


class _Stopped(Exception):
    """A row was under way, and not through, when the batch was stopped."""
