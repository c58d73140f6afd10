"""A batch inside a task: progress in the log, rejects in a file, signals and retries as Airflow has them."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, nullcontext
from dataclasses import replace
from logging import Logger
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BeforeValidator

from airflow_provider_zelto.api_client import AsyncAPIClient
from airflow_provider_zelto.api_request import ClientSettings
from airflow_provider_zelto.arguments import DEFAULT_CONCURRENCY, Arguments, Concurrency, rate, whole_number
from airflow_provider_zelto.bulk import (
    PATIENT,
    Batch,
    Job,
    Outcome,
)
from airflow_provider_zelto.checkpoint import Checkpoint, SourceChangedError
from airflow_provider_zelto.event_loops import SECONDS_BETWEEN_REPORTS, LoopThread, read_ahead
from airflow_provider_zelto.exceptions import BatchStoppedError, TooManyRejectsError
from airflow_provider_zelto.rows import BrokenRow, JsonLinesFile

T = TypeVar("T")

_SECONDS_TO_FINISH = 20.0
_REJECTS_IN_MESSAGE = 5


class BatchOptions(Arguments):
    """
    How a batch is sent.

    :ivar concurrency: how many requests are under way at once, 1 to 256.
    :ivar max_requests_per_second: at most so many requests start in a second; None for no limit.
    :ivar max_rejects: more rejected rows than this stop the batch; None for no limit.
    :ivar rejects_path: where rejected rows are written as JSON Lines; None for nowhere.
    """

    concurrency: Concurrency = DEFAULT_CONCURRENCY
    max_requests_per_second: Annotated[float, BeforeValidator(rate)] | None = None
    max_rejects: Annotated[int, BeforeValidator(whole_number(0))] | None = 0
    rejects_path: str | None = None


class JobRun(ABC, Generic[T]):
    """
    Send the jobs that rows give, and account for every row.

    :param options: how to send.
    :param settings: reads the connection; called once, in the main thread, and only if anything is sent.
    :param checkpoint: knows the rows that an earlier try of the task has dealt with.
    :param log: the task's log.
    :param total: number of rows, where it is known.
    """

    #: What happens to a row that is not rejected, for the log.
    verb = "done"

    def __init__(
        self,
        options: BatchOptions,
        *,
        settings: Callable[[], ClientSettings],
        checkpoint: Checkpoint,
        log: Logger,
        total: int | None = None,
    ) -> None:
        self.options = options
        self.log = log
        self._settings = settings
        self._checkpoint = checkpoint
        self._total = total
        self._loop: asyncio.AbstractEventLoop | None = None
        self._batch: Batch[T] | None = None
        self._stop_asked = False
        self._begin()

    def _begin(self) -> None:
        self.done = self.rejected = self.resumed = 0
        self._first_rejects: list[str] = []
        self._started = time.monotonic()

    @abstractmethod
    def jobs(self, open_rows: Callable[[], Iterable[Any]]) -> AsyncGenerator[Job[T], None]:
        """Read the rows and give their jobs; rejects rows that give none."""

    def take(self, job: Job[T], result: T) -> None:
        """Take note of an answer."""
        self.done += 1

    def sends(self) -> bool:
        """Tell whether rows are sent at all."""
        return True

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def run(self, open_rows: Callable[[], Iterable[Any]]) -> None:
        """
        Deal with all rows, from the task's main thread.

        :param open_rows: opens the rows; called again when they have changed since an earlier try.
        :raises TooManyRejectsError: when more rows are rejected than allowed; the rest is not sent.
        :raises BatchStoppedError: when :meth:`stop` was called before the end.
        :raises APIError: what stopped the batch.
        """
        try:
            self._run(open_rows)
        except SourceChangedError:
            self.log.warning("The rows are not those of the earlier try: beginning again with the first.")
            self._checkpoint.start_over()
            self._begin()
            self._run(open_rows)

    def stop(self) -> None:
        """Finish what is under way and send nothing more; may be called from a signal handler."""
        self._stop_asked = True
        if self._batch is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._batch.stop)

    def _run(self, open_rows: Callable[[], Iterable[Any]]) -> None:
        settings = self._settings() if self.sends() else None
        path = self.options.rejects_path
        with JsonLinesFile(path) if path else nullcontext() as self._rejects:
            if self._rejects:
                self._rejects.publish()  # shows that it can be written, and takes away an older one
            try:
                self._watch(LoopThread(self._main(settings, open_rows)))
            finally:
                self._checkpoint.save()
                if self._rejects:
                    self._rejects.publish()
        self._check_rejects()
        if self._stop_asked:
            raise BatchStoppedError(f"Stopped from outside: {self.progress()}.")
        self._checkpoint.clear()
        self.log.info("All rows are dealt with: %s.", self.progress())

    def _watch(self, thread: LoopThread[None]) -> None:
        try:
            while not thread.wait(SECONDS_BETWEEN_REPORTS):
                self.log.info("So far: %s.", self.progress())
                self._checkpoint.save()
        except BaseException:  # execution_timeout, or whatever else a signal raises
            self.stop()
            thread.wait(_SECONDS_TO_FINISH)
            raise
        thread.result()

    async def _main(self, settings: ClientSettings | None, open_rows: Callable[[], Iterable[Any]]) -> None:
        jobs = self.jobs(open_rows)
        if settings is None:
            async with aclosing(jobs):
                async for _ in jobs:
                    self.done += 1
            return
        options = self.options
        async with AsyncAPIClient(replace(settings, retry_policy=PATIENT), options.concurrency) as client:
            self._loop = asyncio.get_running_loop()
            self._batch = Batch(
                client,
                concurrency=options.concurrency,
                max_requests_per_second=options.max_requests_per_second,
            )
            if self._stop_asked:
                self._batch.stop()
            async with aclosing(self._batch.outcomes(jobs)) as outcomes:
                async for outcome in outcomes:
                    self._note(outcome)

    def _note(self, outcome: Outcome[T]) -> None:
        job = outcome.job
        if outcome.error is not None:
            self.reject(job.number, job.row, str(outcome.error))
            self._checkpoint.done(job.number, refused_because=str(outcome.error))
        else:
            self.take(job, outcome.result)  # type: ignore[arg-type]  # an outcome without error has one
            self._checkpoint.done(job.number)

    def reject(self, number: int, row: Any, reason: str) -> None:
        """Take note of a row that is not, or was not, to be had."""
        self.rejected += 1
        if isinstance(row, BrokenRow):
            row = row.content
        if self._rejects:
            self._rejects.add({"row_number": number, "row": row, "reason": reason})
        if len(self._first_rejects) < _REJECTS_IN_MESSAGE:
            self._first_rejects.append(f"row {number}: {reason}")
        if self._too_many_rejects and self._batch is not None:
            self._batch.stop()

    @property
    def _is_over(self) -> bool:
        stopped = self._batch is not None and self._batch.stopped
        return stopped or self._stop_asked or self._too_many_rejects

    @property
    def _too_many_rejects(self) -> bool:
        return self.options.max_rejects is not None and self.rejected > self.options.max_rejects

    def _check_rejects(self) -> None:
        if not self._too_many_rejects:
            return
        # The next try is the choice of a person, who may have made the refused rows acceptable by then.
        self._checkpoint.clear()
        where = self.options.rejects_path
        raise TooManyRejectsError(
            f"{self.rejected} rows were rejected and max_rejects is {self.options.max_rejects} "
            f"({self.progress()}). {'; '.join(self._first_rejects)}. "
            + (f"All of them are in {where}." if where else "Set rejects_path to have all of them in a file.")
        )

    def progress(self) -> str:
        """Say how far the batch has come."""
        through = self.done + self.rejected + self.resumed
        parts = [f"{self.done} {self.verb}", f"{self.rejected} rejected"]
        if self.resumed:
            parts.append(f"{self.resumed} dealt with in an earlier try")
        if self._batch is not None and self._batch.retries:
            parts.append(f"{self._batch.retries} requests repeated")
        rows_per_second = (self.done + self.rejected) / max(self.seconds, 0.001)
        parts.append(f"{rows_per_second:.0f} rows/s")
        if self._total is not None and rows_per_second and through < self._total:
            parts.append(f"{(self._total - through) / rows_per_second:.0f} s left of {self._total} rows")
        return ", ".join(parts)


class BatchRun(JobRun[T]):
    """Send one request for each row."""

    @abstractmethod
    def make_job(self, number: int, row: Any) -> Job[T]:
        """
        Make a row's request.

        :raises ValueError: with the reason why the row is rejected.
        """

    @property
    def is_far_ahead(self) -> bool:
        """Tell whether so many rows wait for an earlier one that memory wants a pause in reading."""
        return self._checkpoint.is_far_ahead

    async def jobs(self, open_rows: Callable[[], Iterable[Any]]) -> AsyncGenerator[Job[T], None]:
        """Read the rows, leave out those that an earlier try has dealt with, and make the requests."""
        number = 0
        async with aclosing(read_ahead(open_rows)) as chunks:
            async for chunk in chunks:
                for row in chunk:
                    number += 1
                    # The row that all wait for never comes once the batch is over.
                    while self.is_far_ahead and not self._is_over:
                        await asyncio.sleep(0.05)
                    if self._is_over:
                        return
                    if (job := self._job(number, row)) is not None:
                        yield job
        self._checkpoint.end(number)

    def _job(self, number: int, row: Any) -> Job[T] | None:
        dealt_with = self._checkpoint.read(number, row)
        try:
            if isinstance(row, BrokenRow):
                raise ValueError(row.reason)
            if dealt_with and (refusal := self._checkpoint.refusal(number)):
                raise ValueError(refusal)
            job = self.make_job(number, row)
        except ValueError as error:
            self.reject(number, row, str(error))
        else:
            if not dealt_with:
                return job
            self.resumed += 1
        self._checkpoint.done(number)
        return None
