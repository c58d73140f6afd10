"""Exporting the metrics of many calls: ids in, one file and a summary out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypedDict

from pydantic import BeforeValidator

from airflow_provider_zelto.arguments import OptionalNames, text
from airflow_provider_zelto.batch_run import BatchOptions, BatchRun
from airflow_provider_zelto.bulk import Job
from airflow_provider_zelto.conditions import with_labels
from airflow_provider_zelto.hooks.zelto import list_request
from airflow_provider_zelto.models import CustomerMetric
from airflow_provider_zelto.rows import JsonLinesFile

_REJECTED_IN_SUMMARY = 20
_MOST_WAITING = 10_000


class ExportSummary(TypedDict):
    """
    What was exported, for XCom.

    ``path``: the file. ``calls``, ``metrics``: how many were written. ``rejected``: calls that are not in
    Zelto, or ids that are none. ``first_rejected``: at most 20 of them. ``rejects_path``: where all of them
    are, or None.
    """

    path: str
    calls: int
    metrics: int
    rejected: int
    first_rejected: list[str]
    seconds: float
    rejects_path: str | None


class ExportOptions(BatchOptions):
    """What is exported, and how."""

    path: Annotated[str, BeforeValidator(text(1, 4096))]
    labels: OptionalNames = None


class Export(BatchRun[list[CustomerMetric]]):
    """Write one line for each metric of each call, in the order of the calls."""

    options: ExportOptions
    verb = "calls exported"

    def _begin(self) -> None:
        super()._begin()
        self._metrics = 0
        self._first_rejected: list[str] = []
        self._next = 1
        self._waiting: dict[int, list[CustomerMetric]] = {}

    @property
    def is_far_ahead(self) -> bool:
        """Tell whether so many answers wait for an earlier one that memory wants a pause in reading."""
        return len(self._waiting) > _MOST_WAITING

    def make_job(self, number: int, row: Any) -> Job[list[CustomerMetric]]:
        """Ask for a call's metrics."""
        return Job(number, row, key=number, request=list_request(row))

    def take(self, job: Job[list[CustomerMetric]], result: list[CustomerMetric]) -> None:
        """Write a call's metrics when it is their turn."""
        super().take(job, result)
        self._write_in_order(job.number, with_labels(result, self.options.labels))

    def reject(self, number: int, row: Any, reason: str) -> None:
        """Take note of a call that is not there."""
        super().reject(number, row, reason)
        if len(self._first_rejected) < _REJECTED_IN_SUMMARY:
            self._first_rejected.append(str(row))
        self._write_in_order(number, [])

    def _write_in_order(self, number: int, metrics: list[CustomerMetric]) -> None:
        self._waiting[number] = metrics
        while self._next in self._waiting:
            for metric in self._waiting.pop(self._next):
                self._file.add(metric)
                self._metrics += 1
            self._next += 1

    def write(self, open_rows: Callable[[], Iterable[Any]]) -> ExportSummary:
        """Write the file, and sum up."""
        with JsonLinesFile(self.options.path) as self._file:
            self.run(open_rows)
            self._file.publish()
        return {
            "path": self.options.path,
            "calls": self.done,
            "metrics": self._metrics,
            "rejected": self.rejected,
            "first_rejected": self._first_rejected,
            "seconds": round(self.seconds, 3),
            "rejects_path": self.options.rejects_path,
        }
