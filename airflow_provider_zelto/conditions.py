"""What a wait decides, without any I/O: is it over, does it go on, and when is it asked again."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from airflow.providers.common.compat.sdk import AirflowFailException
from pydantic import BeforeValidator

from airflow_provider_zelto.arguments import label_list, parse_time, point_in_time, whole_number
from airflow_provider_zelto.exceptions import APIError, FieldError, NotFoundError
from airflow_provider_zelto.models import Call, CustomerMetric

MAX_CONSECUTIVE_FAILURES = 10
_LONGEST_PAUSE = 60.0  # seconds


class MetricsSelection(Call):
    """Some of a call's metrics: those with one of ``labels``, or all of them where that is None."""

    labels: Annotated[frozenset[str] | None, BeforeValidator(label_list)] = None


class MetricsCondition(MetricsSelection):
    """
    What a wait for a call's metrics asks for: all labels, or a number of metrics.

    :ivar min_count: how many metrics must be there.
    :ivar updated_after: earliest ``updatedAt`` that counts, inclusive; None for any.
    """

    min_count: Annotated[int, BeforeValidator(whole_number(1))] = 1
    updated_after: Annotated[datetime | None, BeforeValidator(point_in_time)] = None

    @classmethod
    def conflicts(cls, arguments: Mapping[str, Any]) -> list[FieldError]:
        """Refuse a wait that could never end: a call holds one metric per label."""
        wanted, minimum = arguments.get("labels"), arguments.get("min_count", 1)
        if isinstance(wanted, Sequence) and isinstance(minimum, int) and 0 < len(set(wanted)) < minimum:
            return [
                FieldError("min_count", minimum, f"reachable: a call holds one metric for each of {wanted}")
            ]
        return []

    def met_by(self, metrics: Iterable[CustomerMetric]) -> list[CustomerMetric] | None:
        """Give the metrics that count, sorted by label, when they are all that is asked for; else None."""
        found = [
            metric
            for metric in with_labels(metrics, self.labels)
            if self.updated_after is None or parse_time(metric["updatedAt"]) >= self.updated_after
        ]
        missing = (self.labels or frozenset()) - {metric["label"] for metric in found}
        return found if len(found) >= self.min_count and not missing else None

    def to_json(self) -> dict[str, Any]:
        """Give the arguments that make this condition again, as JSON data."""
        return {
            "conversation_id": self.conversation_id,
            "labels": sorted(self.labels) if self.labels else None,
            "min_count": self.min_count,
            "updated_after": self.updated_after.isoformat() if self.updated_after else None,
        }


def with_labels(metrics: Iterable[CustomerMetric], labels: Collection[str] | None) -> list[CustomerMetric]:
    """Pick the metrics with these labels (None: all of them), sorted by label."""
    return sorted(
        (metric for metric in metrics if labels is None or metric["label"] in labels),
        key=lambda metric: (metric["label"], metric["id"]),
    )


class Failures:
    """
    Count the failures in a row of a wait, and give up when there were too many.

    :param limit: how many failures in a row end the wait.
    :param poke_interval: seconds between two questions when all is well.
    """

    def __init__(self, *, limit: int, poke_interval: float) -> None:
        self.limit = limit
        self.poke_interval = poke_interval
        self.in_a_row = 0

    def forget(self) -> None:
        """Start counting anew after an answer."""
        self.in_a_row = 0

    def pause_after(self, error: APIError) -> float | None:
        """
        Give the seconds to wait before asking again, or None when asking again is no use.

        A call that is not there yet is an answer like any other, not a failure.
        """
        if isinstance(error, NotFoundError):
            self.forget()
            return self.poke_interval
        self.in_a_row += 1
        if isinstance(error, AirflowFailException) or self.in_a_row >= self.limit:
            return None
        # Waits that share a service fail together; the spread keeps them from coming back together.
        pause = min(2.0**self.in_a_row, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)
        return max(self.poke_interval, pause)
