"""What Roark remembers: its chats, their metric values and what the metrics are."""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated, Any
from uuid import uuid4

from pydantic import AfterValidator

from airflow_provider_zelto.emulator.calls import Call, CallStore, NewCall
from airflow_provider_zelto.emulator.clock import iso, utcnow
from airflow_provider_zelto.emulator.roark_values import MetricDefinition, NewMetricValue
from airflow_provider_zelto.emulator.settings import LiveSettings

_CHAT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


def _chat_id(text: str) -> str:
    if not _CHAT_ID.fullmatch(text):
        raise ValueError("Must be 1 to 64 letters, digits, - and _")
    return text


ChatId = Annotated[str, AfterValidator(_chat_id)]


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A value and the moment from which on it is there."""

    computed_at: datetime
    new: NewMetricValue


@dataclass(slots=True)
class Chat(Call):
    """A chat and its metric values, in the order in which they are computed."""

    values: list[MetricValue] = field(default_factory=list)


class NewChat(NewCall):
    """A chat to add."""

    id: ChatId | None = None


class RoarkState(CallStore[Chat]):
    """The project. Every method may be called from any thread."""

    noun = "chat"
    new_call = NewChat
    new_metric = NewMetricValue

    def __init__(self, settings: LiveSettings, now: Callable[[], datetime] = utcnow) -> None:
        super().__init__(settings, now)
        self._definitions: dict[str, MetricDefinition] = {}

    def add_call(self, new: NewChat) -> dict[str, Any]:
        """Add a chat and return it."""
        with self.lock:
            return self._call_json(self._add(new.id, new.available_after))

    def add_metric(self, call_id: str, new: NewMetricValue) -> dict[str, Any]:
        """Let a metric value appear; return when it does."""
        with self.lock:
            chat = self._get(call_id)
            due = self._now() + timedelta(seconds=new.after)
            insort(chat.values, MetricValue(due, new), key=attrgetter("computed_at"))
            self._definitions.setdefault(new.slug, MetricDefinition(new.slug)).learn(new)
            self._touch(chat.id)
            return {"chat_id": chat.id, "slug": new.slug, "appears_at": iso(due)}

    def metrics(self, call_id: str, *, every_status: bool = False) -> list[dict[str, Any]]:
        """Return the chat's metric definitions with their values, as the API does."""
        with self.lock:
            return self._metrics(self._available(call_id), self._now(), every_status)

    def describe(self, call_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield each chat with its metrics and the slugs still to come."""
        for call_id in call_ids:
            with self.lock:
                if (chat := self._calls.get(call_id)) is None:
                    continue
                now = self._now()
                upcoming = [
                    {"slug": value.new.slug, "appears_at": iso(value.computed_at)}
                    for value in chat.values
                    if value.computed_at > now
                ]
                metrics = self._metrics(chat, now, every_status=True)
            yield {**self._call_json(chat), "metrics": metrics, "upcoming": upcoming}

    def clear(self) -> None:
        """Forget every chat and every metric."""
        with self.lock:
            super().clear()
            self._definitions.clear()

    def _metrics(self, chat: Chat, now: datetime, every_status: bool) -> list[dict[str, Any]]:
        groups: dict[str, list[dict[str, Any]]] = {}
        for value in chat.values:
            if value.computed_at <= now and (every_status or value.new.capture_status == "SUCCESS"):
                groups.setdefault(value.new.slug, []).append(value.new.as_json(value.computed_at))
        return [{**self._definitions[slug].as_json(), "values": values} for slug, values in groups.items()]

    def _read_id(self, text: str) -> str | None:
        return text if _CHAT_ID.fullmatch(text) else None

    def _new_id(self) -> str:
        return str(uuid4())

    def _make(self, call_id: str, available_at: datetime) -> Chat:
        return Chat(call_id, available_at)
