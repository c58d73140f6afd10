"""What an emulated service is: a request in, an answer out, and no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl

from pydantic_core import to_json

Headers = Mapping[bytes, bytes]
JSON_TYPE = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a service sees it; the path is counted from where the service is mounted."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes

    @property
    def parameters(self) -> dict[str, str]:
        """Return the query's parameters; one that is given again counts as given last."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response, ready for the wire."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (JSON_TYPE,)

    def with_headers(self, headers: tuple[tuple[bytes, bytes], ...]) -> Answer:
        """Return the answer with these headers in place of its own of the same name."""
        if not headers:
            return self
        replaced = {name for name, _ in headers}
        kept = tuple(header for header in self.headers if header[0] not in replaced)
        return Answer(self.status, self.body, kept + headers)


def phrase(status: int) -> str:
    """Return the name HTTP gives a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def json_answer(status: int, value: object, *headers: tuple[bytes, bytes]) -> Answer:
    """Return an answer whose body is ``value`` as JSON."""
    return Answer(status, to_json(value), (JSON_TYPE, *headers))


class Service(Protocol):
    """One vendor's API: where its key travels, what its errors look like, what it answers."""

    @property
    def name(self) -> str:
        """Return the name under which requests are journalled and faults are aimed."""

    def key(self, headers: Headers) -> bytes | None:
        """Return the API key the request carries, in the way this vendor documents."""

    def error(self, status: int, message: str) -> Answer:
        """Return the vendor's error body."""

    def unauthorized(self) -> Answer:
        """Return the answer to a missing or wrong key."""

    def handle(self, request: Request) -> Answer:
        """Return the answer to a request whose key was accepted."""
