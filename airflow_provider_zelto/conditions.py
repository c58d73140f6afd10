"""What a wait decides, without any I/O: is it over, does it go on, and when is it asked again."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

from airflow.providers.common.compat.sdk import AirflowFailException
from pydantic import BeforeValidator

from airflow_provider_zelto.arguments import (
    Arguments,
    Names,
    OptionalNames,
    PointInTime,
    is_templated,
    one_of,
    parse_time,
    whole_number,
)
from airflow_provider_zelto.exceptions import APIError, FieldError, NotFoundError
from airflow_provider_zelto.models import Call, Chat, CovalConversation, CovalMetric, CustomerMetric

MAX_CONSECUTIVE_FAILURES = 10
COVAL_FINAL_STATUSES = frozenset({"COMPLETED", "SKIPPED", "FAILED", "CANCELLED"})
_LONGEST_PAUSE = 60.0  # seconds
_LONGEST_RETRY_AFTER = 3600.0  # seconds


class MetricsSelection(Call):
    """Some of a call's metrics: those with one of ``labels``, or all of them where that is None."""

    labels: OptionalNames = None


class Condition(Arguments):
    """What a wait asks for."""

    @abstractmethod
    def met_by(self, metrics: Any) -> Any:
        """Give the metrics waited for when the wait is over; else None."""

    @abstractmethod
    def summary(self, result: Any) -> str:
        """Say what was found."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Give the arguments that make this condition again, as JSON data."""


class MetricsCondition(MetricsSelection, Condition):
    """
    What a wait for a call's metrics asks for: all labels, or a number of metrics.

    :ivar min_count: how many metrics must be there.
    :ivar updated_after: earliest ``updatedAt`` that counts, inclusive; None for any.
    """

    min_count: Annotated[int, BeforeValidator(whole_number(1))] = 1
    updated_after: PointInTime = None

    @classmethod
    def conflicts(cls, arguments: Mapping[str, Any]) -> list[FieldError]:
        """Refuse a wait that could never end: a call holds one metric per label."""
        wanted, minimum = arguments.get("labels"), arguments.get("min_count", 1)
        if isinstance(wanted, str | bytes) or not isinstance(wanted, Collection) or is_templated(wanted):
            return []
        if isinstance(minimum, int) and 0 < len(set(map(repr, wanted))) < minimum:
            return [
                FieldError("min_count", minimum, f"reachable: a call holds one metric for each of {wanted}")
            ]
        return []

    def met_by(self, metrics: Iterable[CustomerMetric]) -> list[CustomerMetric] | None:
        """Give the metrics that count, sorted by label, when they are all that is asked for; else None."""
        found = updated_since(with_labels(metrics, self.labels), self.updated_after)
        missing = (self.labels or frozenset()) - {metric["label"] for metric in found}
        return found if len(found) >= self.min_count and not missing else None

    def summary(self, metrics: Iterable[CustomerMetric]) -> str:
        """Say what was found."""
        labels = [metric["label"] for metric in metrics]
        return f"Call {self.conversation_id} has what was waited for: {labels}."

    def to_json(self) -> dict[str, Any]:
        """Give the arguments that make this condition again, as JSON data."""
        return {
            "conversation_id": self.conversation_id,
            "labels": sorted(self.labels) if self.labels else None,
            "min_count": self.min_count,
            "updated_after": self.updated_after.isoformat() if self.updated_after else None,
        }


class SourceCondition(Condition):
    """
    What a wait for another service's metrics asks for: each by its name, for more may come in a later wave.

    :ivar on_missing_value: what a metric that was computed without a value, or failed, does to the wait.
    """

    on_missing_value: Annotated[str, BeforeValidator(one_of("succeed", "fail", "skip"))] = "fail"

    def is_over(self, states: Mapping[str, bool | None]) -> bool:
        """
        Tell whether the wait is over.

        :param states: for each metric waited for: True with a value, False when it will never have one, None
            while it is being computed.
        """
        given_up = False in states.values() and self.on_missing_value != "succeed"
        return given_up or None not in states.values()

    def without_value(self, result: Any) -> list[str]:
        """Name the metrics of a result that will never have a value."""
        return [name for name, has_value in self.states(result).items() if has_value is False]

    def unwelcome(self, result: Any) -> list[str]:
        """Name those of them that are to fail or skip the task."""
        return [] if self.on_missing_value == "succeed" else self.without_value(result)

    def summary(self, result: Any) -> str:
        """Say what was computed."""
        return (
            f"Computed: {list(self.states(result))}; without a value: {self.without_value(result) or 'none'}."
        )

    @abstractmethod
    def states(self, metrics: Any) -> dict[str, bool | None]:
        """Judge each metric waited for."""


class ChatMetricsCondition(SourceCondition, Chat):
    """A wait for metrics of a Roark chat, by their slugs."""

    slugs: Names

    def met_by(self, metrics: Iterable[dict[str, Any]]) -> list[dict[str, Any]] | None:
        """Give the metrics waited for when the wait is over; else None."""
        found = [metric for metric in metrics if metric.get("slug") in self.slugs]
        return found if self.is_over(self.states(found)) else None

    def states(self, metrics: Iterable[Mapping[str, Any]]) -> dict[str, bool | None]:
        """Judge each slug: a metric that Roark is still computing is not in the list at all."""
        states: dict[str, bool | None] = dict.fromkeys(sorted(self.slugs))
        for metric in metrics:
            has_value = any(value.get("value") is not None for value in metric.get("values", ()))
            states[metric["slug"]] = has_value or bool(states[metric["slug"]])
        return states

    def to_json(self) -> dict[str, Any]:
        """Give the arguments that make this condition again, as JSON data."""
        return {**self.model_dump(), "slugs": sorted(self.slugs)}


class ConversationMetricsCondition(SourceCondition, CovalConversation):
    """A wait for metric outputs of a Coval conversation, by their metric ids."""

    metric_ids: Names

    def met_by(self, rows: Iterable[CovalMetric]) -> list[CovalMetric] | None:
        """Give the outputs waited for when the wait is over; else None."""
        found = [row for row in rows if row["metric_id"] in self.metric_ids]
        return found if self.is_over(self.states(found)) else None

    def states(self, rows: Iterable[CovalMetric]) -> dict[str, bool | None]:
        """Judge each metric id: one with an output in any but a final status is still being computed."""
        states: dict[str, bool | None] = dict.fromkeys(sorted(self.metric_ids))
        under_way = set()
        for row in rows:
            if row["status"] not in COVAL_FINAL_STATUSES:
                under_way.add(row["metric_id"])
            has_value = row["status"] == "COMPLETED" and row.get("value") is not None
            states[row["metric_id"]] = has_value or bool(states[row["metric_id"]])
        return {name: None if name in under_way else state for name, state in states.items()}

    def to_json(self) -> dict[str, Any]:
        """Give the arguments that make this condition again, as JSON data."""
        return {**self.model_dump(), "metric_ids": sorted(self.metric_ids)}


def with_labels(metrics: Iterable[CustomerMetric], labels: Collection[str] | None) -> list[CustomerMetric]:
    """Pick the metrics with these labels (None: all of them), sorted by label."""
    return sorted(
        (metric for metric in metrics if labels is None or metric["label"] in labels),
        key=lambda metric: (metric["label"], metric["id"]),
    )


def updated_since(metrics: Iterable[CustomerMetric], moment: datetime | None) -> list[CustomerMetric]:
    """Pick the metrics that were updated then or later (None: all of them)."""
    return [metric for metric in metrics if moment is None or parse_time(metric["updatedAt"]) >= moment]


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
        pause = min(2.0 ** min(self.in_a_row, 10), _LONGEST_PAUSE) * random.uniform(0.5, 1.0)
        asked = min(getattr(error, "retry_after", None) or 0, _LONGEST_RETRY_AFTER)
        return max(self.poke_interval, pause, asked)
