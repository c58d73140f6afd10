"""Reading the metrics of many calls for a quality gate: ids in, what the gate looks at out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from airflow_provider_zelto.batch_run import BatchOptions, BatchRun
from airflow_provider_zelto.bulk import Job
from airflow_provider_zelto.gate import Gate
from airflow_provider_zelto.hooks.zelto import list_request
from airflow_provider_zelto.models import CustomerMetric
from airflow_provider_zelto.samples import Sample, sample_of


class GateOptions(Gate, BatchOptions):
    """What a gate asks, and how the metrics are read."""


class GateReading(BatchRun[list[CustomerMetric]]):
    """Read the metrics of calls; a call that Zelto does not know has none."""

    verb = "calls read"

    def _begin(self) -> None:
        super()._begin()
        self._samples: list[Sample] = []

    def make_job(self, number: int, row: Any) -> Job[list[CustomerMetric]]:
        """Ask for a call's metrics."""
        return Job(number, row, key=number, request=list_request(row))

    def take(self, job: Job[list[CustomerMetric]], result: list[CustomerMetric]) -> None:
        """Keep of a call's metrics no more than is looked at, for there may be very many."""
        try:
            self._samples += [sample_of(metric) for metric in result]
        except ValueError as error:
            self.reject(job.number, job.row, f"Zelto's answer has a metric that cannot be judged: {error}")
        else:
            super().take(job, result)

    def read(self, calls: Collection[str]) -> list[Sample]:
        """Read the metrics of all calls."""
        self.run(lambda: calls)
        return self._samples
