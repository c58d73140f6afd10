"""What a quality gate looks at of metrics, from whichever task they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from airflow_provider_zelto.arguments import (
    LABEL_LENGTHS,
    NATIVE_HINT,
    is_list,
    number,
    one_of,
    parse_time,
    refuse,
    text,
    uuid,
)

_METRICS = "a metric, or a list of metrics, as Zelto stores them"


class Sample(NamedTuple):
    """What a gate looks at of a metric."""

    call: str
    label: str
    verdict: str | None
    score: float | None
    updated_at: datetime


def sample_of(metric: Any) -> Sample:
    """
    Take what a gate looks at out of a metric as Zelto stores it.

    :raises ValueError: with the reason why it is none.
    """
    try:
        score, verdict = metric.get("score"), metric.get("verdict")
        return Sample(
            uuid(metric["conversationId"]),
            text(*LABEL_LENGTHS)(metric["label"]),
            None if verdict is None else one_of("pass", "fail")(verdict),
            None if score is None else number(0, 100)(score),
            parse_time(metric["updatedAt"]),
        )
    except KeyError as error:
        raise ValueError(f"it has no {error}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None


def samples_of(metrics: Any) -> tuple[Sample, ...]:
    """Take a metric, a list of metrics, or the lists of several tasks."""
    found = []
    for place, metric in enumerate(_flat(metrics), start=1):
        try:
            found.append(sample_of(metric))
        except ValueError as error:
            refuse(f"{_METRICS}: number {place} is none, {error}")
    return tuple(found)


def optional_samples(metrics: Any) -> tuple[Sample, ...] | None:
    """Do the same, or take None for metrics that are still to be read."""
    return None if metrics is None else samples_of(metrics)


def _flat(metrics: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    if isinstance(metrics, Mapping):
        yield metrics
    elif not is_list(metrics) or depth > 2:
        refuse(_METRICS if metrics is None else f"{_METRICS}{NATIVE_HINT}")
    else:
        for part in metrics:
            yield from _flat(part, depth + 1)


def latest(samples: Iterable[Sample]) -> list[Sample]:
    """Keep of a call's metrics of one label the one updated last, as Zelto does, in an order of their own."""
    kept: dict[tuple[str, str], Sample] = {}
    for sample in samples:
        earlier = kept.get(sample[:2])
        if earlier is None or sample.updated_at >= earlier.updated_at:
            kept[sample[:2]] = sample
    return [kept[key] for key in sorted(kept)]
