"""What Coval remembers: its conversations, their metric outputs and the metrics behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_zelto.emulator.calls import Call, CallStore, NewCall
from airflow_provider_zelto.emulator.clock import iso, utcnow
from airflow_provider_zelto.emulator.coval_outputs import (
    CovalId,
    Metric,
    MetricOutput,
    NewMetricOutput,
    Row,
    coval_id_or_none,
    new_id,
    new_ulid,
)
from airflow_provider_zelto.emulator.settings import LiveSettings


@dataclass(slots=True)
class Conversation(Call):
    """A conversation and its metric outputs."""

    outputs: list[MetricOutput] = field(default_factory=list)


class NewConversation(NewCall):
    """A conversation to add."""

    id: CovalId | None = None


class CovalState(CallStore[Conversation]):
    """The organization. Every method may be called from any thread."""

    new_call = NewConversation
    new_metric = NewMetricOutput

    def __init__(self, settings: LiveSettings, now: Callable[[], datetime] = utcnow) -> None:
        super().__init__(settings, now)
        self._metrics: dict[str, Metric] = {}

    def add_call(self, new: NewConversation) -> dict[str, Any]:
        """Add a conversation and return it."""
        with self.lock:
            return self._call_json(self._add(new.id, new.available_after))

    def add_metric(self, call_id: str, new: NewMetricOutput) -> dict[str, str]:
        """Let a metric output appear; return its ids and when it does."""
        with self.lock:
            call = self._get(call_id)
            metric = self._metric(new)
            now = self._now()
            created, started, ended = (now + timedelta(seconds=seconds) for seconds in new.moments)
            output = MetricOutput(new_ulid(created), metric, new, created, started, ended)
            call.outputs.append(output)
            self._touch(call.id)
            return {
                "conversation_id": call.id,
                "metric_output_id": output.id,
                "metric_id": metric.id,
                "appears_at": iso(created),
            }

    def rows(self, call_id: str) -> list[Row]:
        """Return the conversation's metric outputs as they are now."""
        with self.lock:
            now = self._now()
            return [row for output in self._available(call_id).outputs if (row := output.at(now))]

    def describe(self, call_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield each conversation with its outputs, their metrics' names among them, and those to come."""
        for call_id in call_ids:
            with self.lock:
                if (call := self._calls.get(call_id)) is None:
                    continue
                now = self._now()
                states = [(output, output.at(now)) for output in call.outputs]
            yield {
                **self._call_json(call),
                "metrics": [_row_json(row) for _, row in states if row is not None],
                "upcoming": [_upcoming_json(output) for output, row in states if row is None],
            }

    def clear(self) -> None:
        """Forget every conversation and every metric."""
        with self.lock:
            super().clear()
            self._metrics.clear()

    def _metric(self, new: NewMetricOutput) -> Metric:
        metric = self._metrics.get(new.metric_id or "") or self._named(new)
        if metric is None:
            metric_id = new.metric_id or new_id()
            metric = self._metrics[metric_id] = Metric(metric_id, metric_id)
        metric.learn(new)
        return metric

    def _named(self, new: NewMetricOutput) -> Metric | None:
        if new.metric_id is not None or new.metric_name is None:
            return None
        return next((metric for metric in self._metrics.values() if metric.name == new.metric_name), None)

    def _read_id(self, text: str) -> str | None:
        return coval_id_or_none(text)

    def _new_id(self) -> str:
        return new_id()

    def _make(self, call_id: str, available_at: datetime) -> Conversation:
        return Conversation(call_id, available_at)


def _row_json(row: Row) -> dict[str, Any]:
    times = {"create_time": row.create_time, "start_time": row.start_time, "end_time": row.end_time}
    return {
        **row.as_json("absent"),
        "metric_name": row.metric_name,
        "output_type": row.output_type,
        **{name: iso(moment) for name, moment in times.items() if moment is not None},
    }


def _upcoming_json(output: MetricOutput) -> dict[str, Any]:
    return {
        "metric_id": output.metric.id,
        "metric_name": output.metric.name,
        "appears_at": iso(output.created_at),
    }
