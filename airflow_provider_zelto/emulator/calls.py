"""The calls a service knows: from when on its API finds each, and which changed last."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from airflow_provider_zelto.emulator.bodies import Seconds
from airflow_provider_zelto.emulator.clock import iso, utcnow
from airflow_provider_zelto.emulator.settings import LiveSettings

_RECENT = 50


class NewCall(BaseModel):
    """A call to add, in whatever its service calls one."""

    model_config = ConfigDict(strict=True, extra="forbid")

    available_after: Seconds = 0.0


@dataclass(slots=True)
class Call:
    """A call; until ``available_at`` it is still being processed."""

    id: str
    available_at: datetime


C = TypeVar("C", bound=Call)


class UnknownCallError(LookupError):
    """There is no such call."""

    def __init__(self, noun: str, call_id: str) -> None:
        super().__init__(f"There is no {noun} {call_id}")


class DuplicateCallError(ValueError):
    """There is such a call already."""

    def __init__(self, noun: str, call_id: str) -> None:
        super().__init__(f"There is a {noun} {call_id} already")


class CallStore(ABC, Generic[C]):
    """The calls of one service. Every method may be called from any thread."""

    noun: ClassVar[str] = "conversation"
    new_call: ClassVar[type[NewCall]]
    new_metric: ClassVar[type[BaseModel]]

    def __init__(self, settings: LiveSettings, now: Callable[[], datetime] = utcnow) -> None:
        self._settings = settings
        self._now = now
        self.lock = threading.RLock()
        self._calls: dict[str, C] = {}
        self._recent: OrderedDict[str, None] = OrderedDict()

    @abstractmethod
    def add_call(self, new: Any) -> dict[str, Any]:
        """Add a call, a ``new_call``, and return it."""

    @abstractmethod
    def add_metric(self, call_id: str, new: Any) -> dict[str, Any]:
        """Let a metric, a ``new_metric``, appear; return when it does."""

    @abstractmethod
    def describe(self, call_ids: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield each call with its metrics and those still to come, leaving out ids that are no call."""

    @abstractmethod
    def _read_id(self, text: str) -> str | None:
        """Return the id as it is kept, or None where no call can have it."""

    @abstractmethod
    def _new_id(self) -> str:
        """Return an id that no call has."""

    @abstractmethod
    def _make(self, call_id: str, available_at: datetime) -> C:
        """Return a call without metrics."""

    def is_available(self, call_id: str) -> bool:
        """Return whether the API finds the call by now."""
        try:
            self._available(call_id)
        except UnknownCallError:
            return False
        return True

    def call_ids(self) -> list[str]:
        """Return the ids of all calls, oldest first."""
        with self.lock:
            return list(self._calls)

    def recent_call_ids(self) -> list[str]:
        """Return the ids of the calls that changed last, newest first."""
        with self.lock:
            return list(reversed(self._recent))

    def calls(self) -> Iterator[dict[str, Any]]:
        """Yield every call with its metrics, oldest first."""
        return self.describe(self.call_ids())

    def call(self, call_id: str) -> dict[str, Any]:
        """Return one call with its metrics."""
        for call in self.describe([self._read_id(call_id) or ""]):
            return call
        raise UnknownCallError(self.noun, call_id)

    def clear(self) -> None:
        """Forget every call."""
        with self.lock:
            self._calls.clear()
            self._recent.clear()

    def _add(self, call_id: str | None, available_after: float) -> C:
        with self.lock:
            call_id = call_id or self._new_id()
            if call_id in self._calls:
                raise DuplicateCallError(self.noun, call_id)
            return self._keep(self._make(call_id, self._now() + timedelta(seconds=available_after)))

    def _get(self, call_id: str) -> C:
        """Return the call, found by the API or not; one that only a setting makes a call is kept."""
        with self.lock:
            call = self._lookup(call_id, self._now())
            return call if call.id in self._calls else self._keep(call)

    def _available(self, call_id: str) -> C:
        """Return the call if the API finds it by now."""
        with self.lock:
            now = self._now()
            call = self._lookup(call_id, now)
            if call.available_at > now:
                raise UnknownCallError(self.noun, call_id)
            return call

    def _lookup(self, text: str, now: datetime) -> C:
        call_id = self._read_id(text)
        call = self._calls.get(call_id) if call_id is not None else None
        if call is not None:
            return call
        if call_id is None or not self._settings.now.any_conversation:
            raise UnknownCallError(self.noun, text)
        return self._make(call_id, now)

    def _keep(self, call: C) -> C:
        self._calls[call.id] = call
        self._touch(call.id)
        return call

    def _touch(self, call_id: str) -> None:
        self._recent[call_id] = None
        self._recent.move_to_end(call_id)
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    @staticmethod
    def _call_json(call: Call) -> dict[str, Any]:
        return {"id": call.id, "available_at": iso(call.available_at)}
