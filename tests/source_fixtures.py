"""The local Roark, the local Coval, the connections to them, and all ways to ask them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.sources import LOCAL_SOURCES, host


@pytest.fixture
def connect_source(connect: Callable[..., None]) -> Callable[..., None]:
    """Set the connection to a source: ``connect_source("roark", url)``."""

    def set_connection(service: str, url: str | None, **fields: Any) -> None:
        connect(url, **{"conn_id": f"{service}_default", "conn_type": service, **fields})

    return set_connection


@pytest.fixture
def roark(emulator: Any, connect_source: Callable[..., None]) -> Any:
    """The local Roark without any chats, and the default connection to it."""
    connect_source("roark", host(emulator, "roark"))
    return emulator.roark


@pytest.fixture
def coval(emulator: Any, connect_source: Callable[..., None]) -> Any:
    """The local Coval without any conversations, and the default connection to it."""
    connect_source("coval", host(emulator, "coval"))
    return emulator.coval


@pytest.fixture(params=LOCAL_SOURCES)
def source(request: pytest.FixtureRequest, emulator: Any) -> Any:
    """Each of the local sources in turn, without any calls, and the default connection to it."""
    request.getfixturevalue(request.param)
    return LOCAL_SOURCES[request.param](emulator)


@pytest.fixture(params=["sync", "async", "aiohttp"])
def list_metrics(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """List with a new hook: ``list_metrics(source, id)``; sync, async, or async over aiohttp."""

    def synchronously(source: Any, *args: Any, **kwargs: Any) -> list[Any]:
        with source.hook() as hook:
            return list(getattr(hook, source.method)(*args, **kwargs))

    async def asynchronously(source: Any, *args: Any, **kwargs: Any) -> list[Any]:
        async with source.hook() as hook:
            answer = getattr(hook, f"a{source.method}")(*args, **kwargs)
            return [row async for row in answer] if isinstance(answer, AsyncIterator) else await answer

    if request.param == "sync":
        return synchronously
    if request.param == "async":
        monkeypatch.setitem(sys.modules, "httpx_aiohttp", None)
    return lambda *args, **kwargs: asyncio.run(asynchronously(*args, **kwargs))
