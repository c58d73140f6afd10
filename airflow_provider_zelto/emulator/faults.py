"""Scripted faults: which requests they strike and what happens then."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypedDict

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)
from pydantic_core import to_json

from airflow_provider_zelto.emulator.bodies import Seconds
from airflow_provider_zelto.emulator.service import JSON_TYPE, Answer, phrase

_HTML_TYPE = (b"content-type", b"text/html; charset=utf-8")
_BODILESS = (204, 304)
_FRAMING = {"content-length", "transfer-encoding", "connection"}


def _header_value(text: str) -> str:
    if not all(" " <= character <= "~" for character in text):
        raise ValueError("Must be printable ASCII characters on one line")
    return text


HeaderValue = Annotated[str, AfterValidator(_header_value)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$")]


class FaultSpec(BaseModel):
    """A fault as ``POST /_emulator/faults`` takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    status: int | None = Field(default=None, ge=200, le=599)
    retry_after: Seconds | HeaderValue | None = None
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    body: JsonValue = None
    delay: Seconds = 0.0
    action: Literal["reset", "cut_body", "html", "hang"] | None = None
    when: Literal["before", "after"] = "before"
    count: int | None = Field(default=None, ge=1)
    share: float | None = Field(default=None, gt=0, le=1)
    every: int | None = Field(default=None, ge=1)
    seed: int = 0
    service: str | None = None
    method: str | None = None
    path: str | None = None

    @property
    def has_body(self) -> bool:
        """Return whether the fault brings a body of its own; a null may be one."""
        return "body" in self.model_fields_set

    @property
    def replaces_answer(self) -> bool:
        """Return whether the service's own answer is not what the client gets."""
        return self.status is not None or self.has_body or self.action == "html"

    @property
    def lets_service_answer(self) -> bool:
        """Return whether the request is processed as if there were no fault."""
        return self.when == "after" or not (self.replaces_answer or self.action in ("reset", "hang"))

    @model_validator(mode="after")
    def _consistent(self) -> FaultSpec:
        if sum(which is not None for which in (self.count, self.share, self.every)) > 1:
            raise ValueError("Give one of count, share and every, not several")
        if not (self.replaces_answer or self.action or self.delay or self.headers):
            raise ValueError("Give at least one of status, body, headers, delay and action")
        if self.action in ("reset", "hang") and (
            self.replaces_answer or self.headers or self.retry_after is not None
        ):
            raise ValueError(
                f"Nothing is answered with action {self.action}: leave out status, body and headers"
            )
        if self.action == "html" and self.has_body:
            raise ValueError("Action html brings its own body: leave out body")
        if self.status in _BODILESS and (self.has_body or self.action):
            raise ValueError(f"An answer with status {self.status} has no body")
        if self.retry_after is not None and not self.replaces_answer:
            raise ValueError("retry_after needs a status: 429 or 503")
        if framing := _FRAMING.intersection(name.lower() for name in self.headers):
            raise ValueError(f"The server itself writes the header {', '.join(sorted(framing))}")
        if self.action == "cut_body" and self.has_body and not _body_bytes(self.body):
            raise ValueError("An empty body cannot be cut")
        return self

    def answer(self, error: Callable[[int, str], Answer]) -> Answer | None:
        """Return the answer in place of the service's own, or None where that one stays."""
        if not self.replaces_answer:
            return None
        if self.action == "html":
            status = self.status or 502
            page = f"<!doctype html><title>{status}</title><h1>{status} {phrase(status)}</h1><hr>proxy\n"
            answer = Answer(status, page.encode(), (_HTML_TYPE,))
        elif self.has_body:
            answer = Answer(self.status or 200, _body_bytes(self.body), (JSON_TYPE,))
        elif self.status in _BODILESS:
            answer = Answer(self.status, b"", ())
        else:
            assert self.status is not None
            answer = error(self.status, phrase(self.status))
        return answer

    def extra_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers the fault adds, ``Retry-After`` included."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.retry_after is not None:
            after = self.retry_after
            headers["retry-after"] = after if isinstance(after, str) else f"{after:.15g}"
        return tuple((name.encode(), value.encode()) for name, value in headers.items())


class FaultArguments(TypedDict, total=False):
    """A fault as keyword arguments; each may be left out."""

    status: int
    retry_after: float | str
    headers: dict[str, str]
    body: Any
    delay: float
    action: Literal["reset", "cut_body", "html", "hang"]
    when: Literal["before", "after"]
    count: int
    share: float
    every: int
    seed: int
    service: str
    method: str
    path: str


def _body_bytes(body: JsonValue) -> bytes:
    """Return a string as it stands, so that broken JSON can be sent, and any other value as JSON."""
    return body.encode() if isinstance(body, str) else to_json(body)


class Fault:
    """A fault that stands, and how often it was met."""

    def __init__(self, number: int, spec: FaultSpec) -> None:
        self.number = number
        self.spec = spec
        self.seen = 0
        self.hits = 0
        self._random = random.Random(spec.seed)

    def strikes(self, service: str, method: str, path: str) -> bool:
        """Count the request if it is one of those aimed at, and return whether it is struck."""
        spec = self.spec
        if (
            spec.service not in (None, service)
            or (spec.method is not None and spec.method.upper() != method)
            or (spec.path is not None and spec.path not in path)
        ):
            return False
        self.seen += 1
        struck = self._struck()
        self.hits += struck
        return struck

    def _struck(self) -> bool:
        if self.spec.count is not None:
            return self.hits < self.spec.count
        if self.spec.every is not None:
            return self.seen % self.spec.every == 0
        if self.spec.share is not None:
            return self._random.random() < self.spec.share
        return True

    def as_json(self) -> dict[str, Any]:
        """Return the fault with its counts."""
        given = self.spec.model_dump(exclude_unset=True)
        return {"id": self.number, **given, "when": self.spec.when, "seen": self.seen, "hits": self.hits}


class Faults:
    """All the faults that stand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._added = 0

    def add(self, spec: FaultSpec) -> dict[str, Any]:
        """Let a fault stand until it is cleared."""
        with self._lock:
            self._added += 1
            fault = Fault(self._added, spec)
            self._faults.append(fault)
            return fault.as_json()

    def strike(self, service: str, method: str, path: str) -> Fault | None:
        """Return the first fault that strikes this request; those after it do not see it."""
        if not self._faults:
            return None
        with self._lock:
            return next((fault for fault in self._faults if fault.strikes(service, method, path)), None)

    def as_json(self) -> list[dict[str, Any]]:
        """Return every fault with its counts."""
        with self._lock:
            return [fault.as_json() for fault in self._faults]

    def clear(self) -> None:
        """Remove every fault."""
        with self._lock:
            self._faults.clear()
