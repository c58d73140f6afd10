"""One emulator for all tests of this folder, put back to its start before each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest

from airflow_provider_zelto.emulator import Emulator
from tests.emulator.zelto_client import KEY, ZeltoClient


@pytest.fixture(scope="session")
def running() -> Iterator[Emulator]:
    with Emulator(api_keys=[KEY, "a-second-key"]) as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    running.reset()
    return running


@pytest.fixture(scope="session")
def session_client(running: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, trust_env=False) as client:
        yield client


@pytest.fixture
def web(emulator: Emulator, session_client: httpx.Client) -> httpx.Client:
    """A client without a key, for the control API and the page."""
    return session_client


@pytest.fixture
def call(emulator: Emulator) -> str:
    return emulator.add_conversation()


@pytest.fixture
def zelto(web: httpx.Client, call: str) -> ZeltoClient:
    return ZeltoClient(web, call)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def roark(web: httpx.Client) -> Callable[..., httpx.Response]:
    """Ask Roark for the metrics of a chat; the keyword arguments are the query."""

    def ask(chat: str, **query: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {KEY}"}
        return web.get(f"/roark/v1/chat/{chat}/metrics", params=query, headers=headers)

    return ask


@pytest.fixture
def coval(web: httpx.Client) -> Callable[..., httpx.Response]:
    """Ask Coval for the metrics of a conversation; the keyword arguments are the query."""

    def ask(conversation: str, **query: str | int) -> httpx.Response:
        path = f"/coval/v1/conversations/{conversation}/metrics"
        return web.get(path, params=query, headers={"x-api-key": KEY})

    return ask


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < deadline, "it did not happen within five seconds"
            time.sleep(0.01)

    return wait
