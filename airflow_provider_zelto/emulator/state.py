"""What Zelto remembers: the organization, its calls and their customer metrics."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from airflow_provider_zelto.emulator.clock import iso, utcnow
from airflow_provider_zelto.emulator.pending import Pending
from airflow_provider_zelto.emulator.settings import LiveSettings

_RECENT = 50
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Submission:
    """A customer metric as somebody submits it; fields left out are None."""

    label: str
    verdict: Literal["pass", "fail"] | None = None
    score: float | None = None
    note: str | None = None
    metric_id: str | None = None
    external_id: str | None = None
    source: str = "api"


@dataclass(slots=True)
class Metric:
    """A stored customer metric."""

    id: str
    created_at: datetime
    updated_at: datetime
    submission: Submission


@dataclass(slots=True)
class Call:
    """A call of the organization; until ``available_at`` it is still being processed."""

    id: str
    agent_id: str
    available_at: datetime
    metrics: dict[str, Metric] = field(default_factory=dict)


class UnknownCallError(LookupError):
    """There is no such call."""

    def __init__(self, call_id: str) -> None:
        super().__init__(f"There is no conversation {call_id}")


class DuplicateCallError(ValueError):
    """There is such a call already."""

    def __init__(self, call_id: str) -> None:
        super().__init__(f"There is a conversation {call_id} already")


class State:
    """The organization. Every method may be called from any thread."""

    def __init__(self, settings: LiveSettings, now: Callable[[], datetime] = utcnow) -> None:
        self._settings = settings
        self._now = now
        self.lock = threading.RLock()
        self._organization_id = str(uuid4())
        self._calls: dict[str, Call] = {}
        self._pending: Pending[tuple[str, Submission]] = Pending()
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._metric_count = 0

    def add_call(self, call_id: str | None, agent_id: str | None, available_after: float) -> dict[str, Any]:
        """Add a call that can be found after so many seconds."""
        with self.lock:
            call_id = call_id or str(uuid4())
            if call_id in self._calls:
                raise DuplicateCallError(call_id)
            call = self._new_call(call_id, agent_id, self._now() + timedelta(seconds=available_after))
            return self._call_json(call)

    def is_available(self, call_id: str) -> bool:
        """Return whether the API finds the call by now."""
        with self.lock:
            call = self._calls.get(call_id)
            return self._settings.now.any_conversation if call is None else call.available_at <= self._now()

    def submit(self, call_id: str, submission: Submission) -> dict[str, Any]:
        """Create or replace the metric of that label and return it as the API does."""
        with self.lock:
            now = self._now()
            self._settle(now)
            call = self._call(call_id)
            return self._metric_json(call, self._store(call, submission, now))

    def submit_later(self, call_id: str, submission: Submission, after: float) -> datetime:
        """Let somebody else submit a metric in so many seconds; return the moment."""
        with self.lock:
            due = self._now() + timedelta(seconds=after)
            self._pending.add(due, (self._call(call_id).id, submission))
            self._touch(call_id)
            return due

    def metrics(self, call_id: str) -> list[dict[str, Any]]:
        """Return the call's metrics as the API does, oldest first."""
        with self.lock:
            self._settle(self._now())
            call = self._calls.get(call_id)
            if call is None and self._settings.now.any_conversation:
                return []
            if call is None:
                raise UnknownCallError(call_id)
            return [self._metric_json(call, metric) for metric in call.metrics.values()]

    def describe(self, call_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield each call with its metrics and the labels still to come, leaving out ids that are no call."""
        with self.lock:
            upcoming: dict[str, list[dict[str, str]]] = {}
            for due, (call_id, submission) in self._pending.upcoming():
                upcoming.setdefault(call_id, []).append({"label": submission.label, "appears_at": iso(due)})
        for call_id in call_ids:
            with self.lock:
                if (call := self._calls.get(call_id)) is None:
                    continue
                metrics = self.metrics(call_id)
            yield {**self._call_json(call), "metrics": metrics, "upcoming": upcoming.get(call_id, [])}

    def call_ids(self) -> list[str]:
        """Return the ids of all calls, oldest first."""
        with self.lock:
            return list(self._calls)

    def recent_call_ids(self) -> list[str]:
        """Return the ids of the calls that changed last, newest first."""
        with self.lock:
            self._settle(self._now())
            return list(reversed(self._recent))

    def counts(self) -> tuple[int, int]:
        """Return how many calls and how many metrics there are."""
        with self.lock:
            return len(self._calls), self._metric_count

    def clear(self) -> None:
        """Forget every call; the organization stays the same."""
        with self.lock:
            self._calls.clear()
            self._pending.clear()
            self._recent.clear()
            self._metric_count = 0

    def _call(self, call_id: str) -> Call:
        call = self._calls.get(call_id)
        if call is None:
            if not self._settings.now.any_conversation:
                raise UnknownCallError(call_id)
            call = self._new_call(call_id, None, self._now())
        return call

    def _new_call(self, call_id: str, agent_id: str | None, available_at: datetime) -> Call:
        call = self._calls[call_id] = Call(call_id, agent_id or str(uuid4()), available_at)
        self._touch(call_id)
        return call

    def _touch(self, call_id: str) -> None:
        self._recent[call_id] = None
        self._recent.move_to_end(call_id)
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def _settle(self, now: datetime) -> None:
        for due, (call_id, submission) in self._pending.take(now):
            self._store(self._calls[call_id], submission, due)

    def _store(self, call: Call, submission: Submission, now: datetime) -> Metric:
        self._touch(call.id)
        metric = call.metrics.get(submission.label)
        if metric is None:
            metric = Metric(str(uuid4()), now, now, submission)
            call.metrics[submission.label] = metric
            self._metric_count += 1
        else:
            metric.submission = submission
            # The clock may stand still or be set back; an update still has to show.
            metric.updated_at = max(now, metric.updated_at + _MICROSECOND)
        return metric

    def _call_json(self, call: Call) -> dict[str, Any]:
        return {"id": call.id, "agent_id": call.agent_id, "available_at": iso(call.available_at)}

    def _metric_json(self, call: Call, metric: Metric) -> dict[str, Any]:
        submission = metric.submission
        record = {
            "id": metric.id,
            "organizationId": self._organization_id,
            "conversationId": call.id,
            "agentId": call.agent_id,
            "metricId": submission.metric_id,
            "label": submission.label,
            "externalId": submission.external_id,
            "verdict": submission.verdict,
            "score": submission.score,
            "note": submission.note,
            "source": submission.source,
            "createdAt": iso(metric.created_at),
            "updatedAt": iso(metric.updated_at),
        }
        if self._settings.now.nulls == "null":
            return record
        return {name: value for name, value in record.items() if value is not None}
