"""What Zelto remembers: the organization, its calls and their customer metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from airflow_provider_zelto.emulator.bodies import Uuid, uuid_or_none
from airflow_provider_zelto.emulator.calls import Call, CallStore, NewCall
from airflow_provider_zelto.emulator.clock import iso, utcnow
from airflow_provider_zelto.emulator.pending import Pending
from airflow_provider_zelto.emulator.settings import LiveSettings
from airflow_provider_zelto.emulator.zelto_metrics import OthersMetric, Submission

_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class Metric:
    """A stored customer metric."""

    id: str
    created_at: datetime
    updated_at: datetime
    submission: Submission


@dataclass(slots=True)
class Conversation(Call):
    """A call of the organization."""

    agent_id: str = field(default_factory=lambda: str(uuid4()))
    metrics: dict[str, Metric] = field(default_factory=dict)


class NewConversation(NewCall):
    """A call to add."""

    id: Uuid | None = None
    agent_id: Uuid | None = None


class ZeltoState(CallStore[Conversation]):
    """The organization. Every method may be called from any thread."""

    new_call = NewConversation
    new_metric = OthersMetric

    def __init__(self, settings: LiveSettings, now: Callable[[], datetime] = utcnow) -> None:
        super().__init__(settings, now)
        self._organization_id = str(uuid4())
        self._pending: Pending[tuple[str, Submission]] = Pending()
        self._metric_count = 0

    def add_call(self, new: NewConversation) -> dict[str, Any]:
        """Add a call and return it."""
        with self.lock:
            call = self._add(new.id, new.available_after)
            call.agent_id = new.agent_id or call.agent_id
            return self._conversation_json(call)

    def add_metric(self, call_id: str, new: OthersMetric) -> dict[str, Any]:
        """Let somebody else submit a metric; return when it appears."""
        with self.lock:
            due = self._now() + timedelta(seconds=new.after)
            call = self._get(call_id)
            self._pending.add(due, (call.id, new.submission(new.source)))
            self._touch(call.id)
            return {"conversation_id": call.id, "label": new.label, "appears_at": iso(due)}

    def submit(self, call_id: str, submission: Submission) -> dict[str, Any]:
        """Create or replace the metric of that label and return it as the API does."""
        with self.lock:
            now = self._now()
            self._settle(now)
            call = self._get(call_id)
            return self._metric_json(call, self._store(call, submission, now))

    def metrics(self, call_id: str) -> list[dict[str, Any]]:
        """Return the call's metrics as the API does, oldest first."""
        with self.lock:
            now = self._now()
            self._settle(now)
            call = self._lookup(call_id, now)
            return [self._metric_json(call, metric) for metric in call.metrics.values()]

    def describe(self, call_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield each call with its metrics and the labels still to come."""
        with self.lock:
            upcoming: dict[str, list[dict[str, str]]] = {}
            for due, (call_id, submission) in self._pending.upcoming():
                upcoming.setdefault(call_id, []).append({"label": submission.label, "appears_at": iso(due)})
        for call_id in call_ids:
            with self.lock:
                if (call := self._calls.get(call_id)) is None:
                    continue
                metrics = self.metrics(call_id)
            yield {**self._conversation_json(call), "metrics": metrics, "upcoming": upcoming.get(call_id, [])}

    def recent_call_ids(self) -> list[str]:
        """Return the ids of the calls that changed last, newest first."""
        with self.lock:
            self._settle(self._now())
            return super().recent_call_ids()

    def counts(self) -> tuple[int, int]:
        """Return how many calls and how many metrics there are."""
        with self.lock:
            self._settle(self._now())
            return len(self._calls), self._metric_count

    def clear(self) -> None:
        """Forget every call; the organization stays the same."""
        with self.lock:
            super().clear()
            self._pending.clear()
            self._metric_count = 0

    def _read_id(self, text: str) -> str | None:
        return uuid_or_none(text)

    def _new_id(self) -> str:
        return str(uuid4())

    def _make(self, call_id: str, available_at: datetime) -> Conversation:
        return Conversation(call_id, available_at)

    def _settle(self, now: datetime) -> None:
        for due, (call_id, submission) in self._pending.take(now):
            self._store(self._calls[call_id], submission, due)

    def _store(self, call: Conversation, submission: Submission, now: datetime) -> Metric:
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

    def _conversation_json(self, call: Conversation) -> dict[str, Any]:
        return {**self._call_json(call), "agent_id": call.agent_id}

    def _metric_json(self, call: Conversation, metric: Metric) -> dict[str, Any]:
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
