"""Which of a call's metrics are new or changed since the last look, without any I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Annotated, Any

from pydantic import BeforeValidator

from airflow_provider_zelto.arguments import PointInTime, rate
from airflow_provider_zelto.conditions import MetricsSelection, updated_since, with_labels
from airflow_provider_zelto.models import CustomerMetric

_COMPARED = ("id", "updatedAt", "verdict", "score", "note", "metricId", "externalId")


class MetricsWatch(MetricsSelection):
    """
    Which metrics of a call are watched, and how often it is asked for them.

    :ivar updated_after: earliest ``updatedAt`` that counts, inclusive; None: what comes after the first look.
    :ivar poke_interval: seconds between two questions.
    """

    updated_after: PointInTime = None
    poke_interval: Annotated[float, BeforeValidator(rate)] = 60

    def to_json(self) -> dict[str, Any]:
        """Give the arguments that make this watch again, as JSON data."""
        return {
            "conversation_id": self.conversation_id,
            "labels": sorted(self.labels) if self.labels is not None else None,
            "updated_after": self.updated_after.isoformat() if self.updated_after else None,
            "poke_interval": self.poke_interval,
        }

    def name(self) -> str:
        """Give a name for what this watch has seen, the same for as long as it watches the same metrics."""
        return "zelto_seen_" + _digest([self.conversation_id, self.to_json()["labels"]])


class SeenMetrics:
    """
    What a watch has seen of its metrics.

    A metric that is submitted again has changed even if its values have not: ``updatedAt`` moves. One that is
    gone for a while is not new when it comes back as it was.

    :ivar marks: for each label the mark of the metric last seen; None before the first look.
    """

    def __init__(self, watch: MetricsWatch, marks: Mapping[str, str] | None = None) -> None:
        self._watch = watch
        self.marks = None if marks is None else dict(marks)

    def changes(self, metrics: Iterable[CustomerMetric]) -> list[CustomerMetric]:
        """Look at a call's metrics, and give those that are new or changed, sorted by label."""
        is_first = self.marks is None
        marks = self.marks = self.marks or {}
        changed = []
        for metric in with_labels(metrics, self._watch.labels):
            mark = _digest([metric.get(name) for name in _COMPARED])
            if marks.get(metric["label"]) != mark:
                marks[metric["label"]] = mark
                changed.append(metric)
        after = self._watch.updated_after
        if after is None:
            return [] if is_first else changed
        return updated_since(changed, after)


def _digest(value: Any) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()[:16]
