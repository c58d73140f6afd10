from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from airflow_provider_zelto import api_client
from airflow_provider_zelto.api_client import CONNECTIONS, AsyncAPIClient
from airflow_provider_zelto.api_request import ClientSettings
from airflow_provider_zelto.hooks.zelto import ZeltoHook, list_request
from airflow_provider_zelto.services import ZELTO
from tests.answers import CALL
from tests.conftest import API_KEY


@pytest.fixture(params=["httpx", "aiohttp"], autouse=True)
def transport(request, monkeypatch):
    if request.param == "httpx":
        monkeypatch.setitem(sys.modules, "httpx_aiohttp", None)


class KeepAliveServer:
    """A server in the test's own event loop that keeps connections open and counts."""

    def __init__(self):
        self.connections = self.open = self.requests = self.under_way = self.most = 0
        self.pause = 0.0

    async def handle(self, reader, writer):
        self.connections += 1
        self.open += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                self.under_way += 1
                self.most = max(self.most, self.under_way)
                await asyncio.sleep(self.pause)
                self.under_way -= 1
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"data": []}')
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def all_closed(self):
        for _ in range(200):
            if self.open == 0:
                return True
            await asyncio.sleep(0.01)
        return False


@asynccontextmanager
async def keep_alive_server(connect):
    counts = KeepAliveServer()
    server = await asyncio.start_server(counts.handle, "127.0.0.1", 0)
    counts.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    connect(counts.url)
    try:
        yield counts
    finally:
        server.close()


async def test_hooks_of_one_event_loop_share_their_connections(connect):
    async with keep_alive_server(connect) as server, ZeltoHook() as one, ZeltoHook() as other:
        for _ in range(5):
            assert await one.alist_customer_metrics(CALL) == []
            assert await other.alist_customer_metrics(CALL) == []
        assert await one.aget_conn() is await other.aget_conn()
        assert (server.requests, server.connections) == (10, 1)


async def test_the_last_hook_to_leave_closes_the_connections(connect):
    async with keep_alive_server(connect) as server:
        async with ZeltoHook() as one:
            async with ZeltoHook() as other:
                await one.alist_customer_metrics(CALL)
                await other.alist_customer_metrics(CALL)
            assert await one.alist_customer_metrics(CALL) == []
            assert server.open == 1
        assert await server.all_closed()


async def test_a_client_that_was_closed_is_not_handed_out_again(connect):
    async with keep_alive_server(connect) as server:
        async with ZeltoHook() as hook:
            first = await hook.aget_conn()
            await hook.alist_customer_metrics(CALL)
        async with ZeltoHook() as hook:
            assert await hook.aget_conn() is not first
            assert await hook.alist_customer_metrics(CALL) == []
        assert server.connections == 2


async def test_a_hook_can_be_used_again_after_it_was_closed(connect):
    async with keep_alive_server(connect) as server:
        hook = ZeltoHook()
        for _ in range(2):
            assert await hook.alist_customer_metrics(CALL) == []
            await hook.aclose()
            await hook.aclose()
        assert await server.all_closed()


async def test_a_hook_that_goes_away_leaves_the_shared_client(connect):
    async with keep_alive_server(connect) as server:
        hook = ZeltoHook()
        await hook.alist_customer_metrics(CALL)
        assert server.open == 1
        del hook
        assert await server.all_closed()


async def test_many_coroutines_of_one_hook_ask_at_once_and_take_turns(connect):
    async with keep_alive_server(connect) as server:
        server.pause = 0.05
        async with ZeltoHook() as hook:
            answers = await asyncio.gather(*(hook.alist_customer_metrics(CALL) for _ in range(100)))
            assert answers == [[]] * 100
            assert server.most == CONNECTIONS
            assert server.connections <= CONNECTIONS
        assert await server.all_closed()


async def test_coroutines_that_use_a_hook_for_the_first_time_together_count_as_one_user(connect):
    async with keep_alive_server(connect) as server:
        hook = ZeltoHook()
        clients = await asyncio.gather(*(hook.aget_conn() for _ in range(10)))
        assert len(set(clients)) == 1
        await hook.alist_customer_metrics(CALL)
        await hook.aclose()
        assert await server.all_closed()
        async with ZeltoHook() as other:
            assert await other.aget_conn() is not clients[0]


async def test_a_request_that_is_cancelled_does_no_harm_to_the_others(connect):
    async with keep_alive_server(connect) as server, ZeltoHook() as hook:
        server.pause = 0.2
        asked = [asyncio.create_task(hook.alist_customer_metrics(CALL)) for _ in range(10)]
        await asyncio.sleep(0.1)
        for task in asked[::2]:
            task.cancel()
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert results[1::2] == [[]] * 5
        assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
        server.pause = 0
        assert await hook.alist_customer_metrics(CALL) == []


async def test_a_client_may_be_given_other_numbers_of_connections(connect):
    async with keep_alive_server(connect) as server:
        server.pause = 0.01
        async with AsyncAPIClient(ClientSettings(ZELTO, server.url, API_KEY), connections=3) as client:
            await asyncio.gather(*(client.send(list_request(CALL)) for _ in range(20)))
        assert server.most == 3
        assert await server.all_closed()


async def test_other_settings_have_a_client_of_their_own(connect):
    settings = ClientSettings(ZELTO, "http://127.0.0.1:1", API_KEY)
    same = await AsyncAPIClient.shared(replace(settings))
    clients = [same]
    for change in ({"api_key": "another"}, {"timeout": 1.0}, {"base_url": "http://127.0.0.1:2"}):
        clients.append(await AsyncAPIClient.shared(replace(settings, **change)))
    assert len(set(clients)) == 4
    assert await AsyncAPIClient.shared(settings) is same
    for client in [*clients, same]:
        await client.aclose()


def test_a_hook_may_be_used_in_one_event_loop_after_the_other(call):
    hook = ZeltoHook()
    assert asyncio.run(hook.alist_customer_metrics(call)) == []
    assert asyncio.run(hook.alist_customer_metrics(call)) == []

    async def close():
        await hook.alist_customer_metrics(call)
        await hook.aclose()

    asyncio.run(close())


def test_a_client_does_not_outlive_its_event_loop(call):
    async def use_without_closing():
        await ZeltoHook().alist_customer_metrics(call)

    asyncio.run(use_without_closing())
    gc.collect()
    assert not any(map(len, api_client._shared_clients.values()))
