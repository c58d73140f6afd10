"""The service the benchmarks talk to: it answers after a fixed delay, and does next to nothing besides."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from subprocess import PIPE, Popen
from typing import cast
from urllib.parse import parse_qsl, urlencode
from urllib.request import urlopen

import uvloop
from httptools import HttpRequestParser

from tests.bench.processes import ROOT

_BACKLOG = 4096
_LIST_PATH = "/v1/conversations/"
_COUNT_PATH = "/answered"
_SWITCH_PATH = "/switch"
_LATENCY_PATH = "/latency"
_PATHS_PATH = "/paths"
_STORED = {
    "id": "8f14e45f-ceea-4e7a-9c2b-000000000001",
    "organizationId": "8f14e45f-ceea-4e7a-9c2b-000000000002",
    "agentId": "8f14e45f-ceea-4e7a-9c2b-000000000003",
    "source": "api",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "updatedAt": "2026-01-01T00:00:00.000Z",
}


@dataclass
class LoopbackService:
    """
    Zelto's two endpoints without any state, and 404 for every other path.

    :param latency: seconds before each answer.
    """

    latency: float = 0.0
    status: int | None = field(default=None, init=False)
    answered_at: array[float] = field(default_factory=lambda: array("d"))
    last_answered: dict[str, float] = field(default_factory=dict)

    def answer(self, method: bytes, url: str, body: bytes) -> tuple[int, object]:
        """Give status and body of an answer."""
        if self.status is not None:
            return self.status, {"error": "The benchmark asked for this."}
        if not url.startswith(_LIST_PATH):
            return 404, {"error": "Conversation not found"}
        if method == b"GET":
            return 200, {"data": []}
        conversation_id = url.removeprefix(_LIST_PATH).split("/")[0]
        return 201, {**_STORED, "conversationId": conversation_id, **json.loads(body)}

    def control(self, url: str) -> object | None:
        """Do what the benchmark itself asks for; None when it is not the one who asks."""
        path, _, query = url.partition("?")
        given = dict(parse_qsl(query))
        if path == _SWITCH_PATH:
            self.status = int(given["status"])
            return {"status": self.status}
        if path == _LATENCY_PATH:
            self.latency = float(given["seconds"])
            return {"latency": self.latency}
        if path == _COUNT_PATH:
            end, start = (bisect_left(self.answered_at, float(given[name])) for name in ("until", "since"))
            return {"count": end - start}
        if path == _PATHS_PATH:
            since = float(given["since"])
            return {"count": sum(last >= since for last in self.last_answered.values())}
        return None


class LoopbackConnection(asyncio.Protocol):
    """
    One connection: a parser, and a timer for each answer.

    A framework's server would be as busy as the fastest client, and both would be measured by it.
    """

    def __init__(self, service: LoopbackService) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read requests."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url, self._body = b"", b""

    def on_url(self, url: bytes) -> None:
        """Take a part of the path."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer a request, after a while."""
        url = self._url.decode()
        if (told := self._service.control(url)) is not None:
            self._write(200, told)
        else:
            answer = self._service.answer(self._parser.get_method(), url, self._body)
            self._loop.call_later(self._service.latency, self._answer, url, *answer)

    def _answer(self, url: str, status: int, answer: object) -> None:
        if self._transport.is_closing():
            return  # nobody waits for it any more
        now = time.monotonic()
        self._service.answered_at.append(now)
        self._service.last_answered[url] = now
        self._write(status, answer)

    def _write(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
        fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(f"HTTP/1.1 {status} Answer\r\n{fields}".encode() + body)


@contextmanager
def serving(*, latency: float) -> Iterator[str]:
    """Run the service in a process of its own and give its base URL."""
    command = [sys.executable, "-m", "tests.bench.server", f"--latency={latency}"]
    with Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            if not (url := server.stdout.readline().strip()):
                raise RuntimeError("The benchmark's server did not start.")
            yield url
        finally:
            server.stdin.close()


def answered(url: str, since: float, until: float) -> int:
    """Ask a running service how many requests it answered between two readings of ``time.monotonic()``."""
    return int(_ask(url, _COUNT_PATH, since=since, until=until)["count"])


def paths(url: str, since: float) -> int:
    """Ask a running service for how many paths it has answered since a reading of ``time.monotonic()``."""
    return int(_ask(url, _PATHS_PATH, since=since)["count"])


def switch_to(url: str, status: int) -> None:
    """Have a running service answer everything with this status from now on."""
    _ask(url, _SWITCH_PATH, status=status)


def answer_after(url: str, seconds: float) -> None:
    """Have a running service answer after so many seconds from now on."""
    _ask(url, _LATENCY_PATH, seconds=seconds)


def _ask(url: str, path: str, **query: float) -> dict[str, float]:
    with urlopen(f"{url}{path}?{urlencode(query)}") as answer:
        given: dict[str, float] = json.load(answer)
        return given


async def _serve(service: LoopbackService) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: LoopbackConnection(service), "127.0.0.1", 0, backlog=_BACKLOG)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    # The parent holds the other end, so that the server ends with it however the parent ends.
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    uvloop.run(_serve(LoopbackService(latency=parser.parse_args().latency)))


if __name__ == "__main__":
    main()
