"""Submitting many metrics to Zelto: rows in, a summary out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict, cast

from airflow_provider_zelto.assets import MAX_REPORTED_CALLS
from airflow_provider_zelto.batch_run import BatchOptions, BatchRun
from airflow_provider_zelto.bulk import Job
from airflow_provider_zelto.hooks.zelto import submit_request
from airflow_provider_zelto.models import CustomerMetric, NewCustomerMetric
from airflow_provider_zelto.rows import Row


class SubmissionSummary(TypedDict):
    """
    What became of a batch, for XCom.

    ``submitted``: rows stored by this try (with ``dry_run``: found valid). ``rejected``: rows that were not
    stored. ``resumed``: rows that an earlier try of the task had stored. ``seconds``: how long it took.
    ``rejects_path``: where the rejected rows are, or None.
    """

    submitted: int
    rejected: int
    resumed: int
    seconds: float
    rejects_path: str | None


class SubmissionOptions(BatchOptions):
    """How metrics are submitted; ``dry_run`` validates and counts them, and sends nothing."""

    dry_run: bool = False


class Submission(BatchRun[CustomerMetric]):
    """Submit one metric for each row; of rows for the same call and label the last wins."""

    options: SubmissionOptions

    def _begin(self) -> None:
        super()._begin()
        #: The first calls that this try has stored metrics of, without the metrics.
        self.changed_calls: dict[str, Sequence[CustomerMetric]] = {}

    @property
    def verb(self) -> str:  # type: ignore[override]
        """Tell what happens to a row that is not rejected."""
        return "valid" if self.options.dry_run else "submitted"

    def sends(self) -> bool:
        """Tell whether rows are sent at all."""
        return not self.options.dry_run

    def make_job(self, number: int, row: Any) -> Job[CustomerMetric]:
        """Validate a row."""
        if not isinstance(row, Mapping):
            raise ValueError(f"{row!r:.100} is not a mapping of columns to values")
        metric = NewCustomerMetric.check(row)
        return Job(number, row, (metric.conversation_id, metric.label), submit_request(metric))

    def take(self, job: Job[CustomerMetric], result: CustomerMetric) -> None:
        """Take note of a stored metric, and of its call while there are not too many to report."""
        super().take(job, result)
        if len(self.changed_calls) < MAX_REPORTED_CALLS:
            call, _ = cast("tuple[str, str]", job.key)
            self.changed_calls.setdefault(call, ())

    def submit(self, open_rows: Callable[[], Iterable[Row]]) -> SubmissionSummary:
        """Submit all rows, and sum up."""
        self.run(open_rows)
        return {
            "submitted": self.done,
            "rejected": self.rejected,
            "resumed": self.resumed,
            "seconds": round(self.seconds, 3),
            "rejects_path": self.options.rejects_path,
        }
