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
from urllib.parse import urlencode
from urllib.request import urlopen

from aiohttp import web

from tests.bench.processes import ROOT

_BACKLOG = 4096
_LIST_PATH = "/v1/conversations/"
_COUNT_PATH = "/answered"
_SWITCH_PATH = "/switch"
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

    async def handle(self, request: web.BaseRequest) -> web.Response:
        if request.path == _COUNT_PATH:
            return _json(200, {"count": self._count(request.query["since"], request.query["until"])})
        if request.path == _SWITCH_PATH:
            self.status = int(request.query["status"])
            return _json(200, {"status": self.status})
        answer = await self._answer(request)
        await asyncio.sleep(self.latency)
        self.answered_at.append(time.monotonic())
        return answer

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if self.status is not None:
            return _json(self.status, {"error": "The benchmark asked for this."})
        if not request.path.startswith(_LIST_PATH):
            return _json(404, {"error": "Conversation not found"})
        if request.method == "GET":
            return _json(200, {"data": []})
        conversation_id = request.path.removeprefix(_LIST_PATH).split("/")[0]
        return _json(201, {**_STORED, "conversationId": conversation_id, **await request.json()})

    def _count(self, since: str, until: str) -> int:
        return bisect_left(self.answered_at, float(until)) - bisect_left(self.answered_at, float(since))


def _json(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json")


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


def switch_to(url: str, status: int) -> None:
    """Have a running service answer everything with this status from now on."""
    _ask(url, _SWITCH_PATH, status=status)


def _ask(url: str, path: str, **query: float) -> dict[str, int]:
    with urlopen(f"{url}{path}?{urlencode(query)}") as answer:
        given: dict[str, int] = json.load(answer)
        return given


async def _serve(service: LoopbackService) -> None:
    runner = web.ServerRunner(web.Server(service.handle, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=_BACKLOG)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    # The parent holds the other end, so that the server ends with it however the parent ends.
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    asyncio.run(_serve(LoopbackService(latency=parser.parse_args().latency)))


if __name__ == "__main__":
    main()
