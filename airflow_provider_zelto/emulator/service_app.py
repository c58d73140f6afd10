"""A service on the wire: keys, journal, latency and faults, the same for every service."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from airflow_provider_zelto.emulator.auth import Keys
from airflow_provider_zelto.emulator.faults import Faults, FaultSpec
from airflow_provider_zelto.emulator.journal import Entry, Journal
from airflow_provider_zelto.emulator.service import Answer, Request, Service
from airflow_provider_zelto.emulator.settings import LiveSettings
from airflow_provider_zelto.emulator.wire import reset, send_answer, send_half, wait_for_disconnect


class ServiceApp:
    """An ASGI application that puts one service on the wire below ``prefix``."""

    def __init__(
        self,
        service: Service,
        prefix: str,
        *,
        keys: Keys,
        journal: Journal,
        faults: Faults,
        settings: LiveSettings,
    ) -> None:
        self.prefix = prefix
        self._service = service
        self._keys = keys
        self._journal = journal
        self._faults = faults
        self._settings = settings

    @property
    def service_name(self) -> str:
        """Return the name of the service."""
        return self._service.name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or fail it as scripted."""
        body, whole = await _read(receive)
        request = Request(
            method=scope["method"],
            path=scope["path"].removeprefix(self.prefix),
            query=scope["query_string"].decode("latin-1"),
            headers=dict(scope["headers"]),
            body=body,
        )
        authorized = self._keys.accept(self._service.key(request.headers))
        entry = self._journal.add(self._service.name, scope["path"], request, authorized=authorized)
        if not whole:
            return
        if latency := self._settings.now.latency:
            await asyncio.sleep(latency)
        fault = self._faults.strike(self._service.name, request.method, scope["path"])
        if fault is not None:
            entry.fault = fault.number
            await self._fail(fault.spec, request, entry, scope, receive, send)
            return
        answer = self._answer(request, entry)
        entry.status = answer.status
        await send_answer(send, answer)

    def _answer(self, request: Request, entry: Entry) -> Answer:
        return self._service.handle(request) if entry.authorized else self._service.unauthorized()

    async def _fail(
        self, fault: FaultSpec, request: Request, entry: Entry, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if fault.when == "before":
            await asyncio.sleep(fault.delay)
        own = self._answer(request, entry) if fault.lets_service_answer else None
        if fault.when == "after":
            await asyncio.sleep(fault.delay)
        if fault.action == "reset":
            await reset(scope, receive)
        elif fault.action == "hang":
            await wait_for_disconnect(receive)
        else:
            answer = fault.answer(self._service.error) or own
            assert answer is not None
            answer = answer.with_headers(fault.extra_headers())
            entry.status = answer.status
            if fault.action == "cut_body":
                await send_half(scope, receive, send, answer)
            else:
                await send_answer(send, answer)


async def _read(receive: Receive) -> tuple[bytes, bool]:
    """Return the body and whether it came whole before the client went away."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body, False
        body += message["body"]
        if not message["more_body"]:
            return body, True
