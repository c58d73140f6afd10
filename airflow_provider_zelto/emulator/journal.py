"""The journal: every request to a service, what came of it, and never a key."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from airflow_provider_zelto.emulator.auth import Keys
from airflow_provider_zelto.emulator.bodies import parse_json
from airflow_provider_zelto.emulator.clock import iso, utcnow
from airflow_provider_zelto.emulator.service import Request

_LIMIT = 1_000_000


class JournalFilter(BaseModel):
    """Which entries to read; every filter given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str | None = None
    method: str | None = None
    path: str | None = None
    status: int | None = None
    since: int | AwareDatetime | None = Field(default=None, union_mode="left_to_right")
    limit: int | None = Field(default=None, ge=0)

    def admits(self, entry: Entry) -> bool:
        """Return whether the entry is one to read."""
        return (
            self.service in (None, entry.service)
            and (self.method is None or self.method.upper() == entry.method)
            and (self.path is None or self.path in entry.path)
            and self.status in (None, entry.status)
            and (
                self.since is None
                or (entry.n > self.since if isinstance(self.since, int) else entry.at >= self.since)
            )
        )


@dataclass(slots=True)
class Entry:
    """One request; ``status`` stays None where no answer went out."""

    n: int
    at: datetime
    service: str
    method: str
    path: str
    query: str
    body: bytes
    user_agent: str | None
    authorized: bool
    fault: int | None = None
    status: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the entry; a body that is no JSON reads as null."""
        try:
            body = parse_json(self.body)
        except ValueError:
            body = None
        return {
            "n": self.n,
            "at": iso(self.at),
            "service": self.service,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "status": self.status,
            "body": body,
            "user_agent": self.user_agent,
            "fault": self.fault,
            "authorized": self.authorized,
        }


class Journal:
    """The requests in the order they came, the newest million of them."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=_LIMIT)
        self._count = 0

    @property
    def count(self) -> int:
        """Return how many requests came since the journal was last cleared."""
        return self._count

    def add(self, service: str, path: str, request: Request, *, authorized: bool) -> Entry:
        """Write down a request whose outcome is still to come."""
        agent = request.headers.get(b"user-agent")
        entry = Entry(
            n=0,
            at=utcnow(),
            service=service,
            method=request.method,
            path=self._masked(path),
            query=self._masked(request.query),
            body=self._keys.mask(request.body),
            user_agent=None if agent is None else self._keys.mask(agent).decode("latin-1"),
            authorized=authorized,
        )
        with self._lock:
            self._count += 1
            entry.n = self._count
            self._entries.append(entry)
        return entry

    def read(self, wanted: JournalFilter) -> Iterator[dict[str, Any]]:
        """Yield the entries that match, oldest first, as they are now."""
        with self._lock:
            entries = list(self._entries)
        left = len(entries) if wanted.limit is None else wanted.limit
        for entry in entries:
            if not left:
                return
            if wanted.admits(entry):
                left -= 1
                yield entry.as_json()

    def latest(self, count: int) -> list[dict[str, Any]]:
        """Return the newest entries, newest first."""
        with self._lock:
            entries = [self._entries[-index] for index in range(1, min(count, len(self._entries)) + 1)]
        return [entry.as_json() for entry in entries]

    def clear(self) -> None:
        """Forget every entry and count from one again."""
        with self._lock:
            self._entries.clear()
            self._count = 0

    def _masked(self, text: str) -> str:
        return self._keys.mask(text.encode(errors="replace")).decode()
