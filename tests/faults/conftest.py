"""An emulator in a process of its own, so that it is not slowed down by what it judges."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.live.local_emulator import LocalEmulator, local_emulator


class Zelto:
    """The emulator's control API, with the names that its handle has."""

    def __init__(self, emulator: LocalEmulator) -> None:
        self._ask = emulator.ask
        self.url = emulator.url
        self.api_key = emulator.connections["zelto_default"]["password"]

    def add_conversation(self) -> str:
        return self._ask("POST", "conversations", {})["id"]

    def conversations(self) -> list[dict[str, Any]]:
        return self._ask("GET", "conversations")["conversations"]

    def fault(self, **fault: Any) -> None:
        self._ask("POST", "faults", fault)

    def faults(self) -> list[dict[str, Any]]:
        return self._ask("GET", "faults")["faults"]

    def clear_faults(self) -> None:
        self._ask("DELETE", "faults")

    def settings(self, **changes: Any) -> None:
        self._ask("PATCH", "settings", changes)

    def journal(self, **filters: Any) -> list[dict[str, Any]]:
        query = "&".join(f"{name}={value}" for name, value in filters.items())
        return self._ask("GET", f"journal?{query}")["entries"]

    def reset(self) -> None:
        self._ask("POST", "reset")


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zelto]:
    with local_emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield Zelto(emulator)


@pytest.fixture
def zelto(running: Zelto, connect: Callable[..., None]) -> Zelto:
    """The emulator at its start, and the default connection to it."""
    running.reset()
    connect(running.url, password=running.api_key, extra={"timeout": 0.5})
    return running


@pytest.fixture(params=["httpx", "aiohttp"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Send over httpx's own transport, or over the one of the extra ``aiohttp``."""
    if request.param == "httpx":
        monkeypatch.setitem(sys.modules, "httpx_aiohttp", None)
    return request.param
