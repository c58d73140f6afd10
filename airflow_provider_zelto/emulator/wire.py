"""What can only be done on the TCP connection itself: reset it, cut an answer in half, never answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from airflow_provider_zelto.emulator.service import Answer

_TRANSPORT = "airflow_provider_zelto.transport"


class _TransportInScope(asyncio.Protocol):
    app: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        app = self.app

        async def app_on_this_connection(scope: Scope, receive: Receive, send: Send) -> None:
            scope[_TRANSPORT] = transport
            # Only a server that stops cancels a request, and uvicorn would log that with a traceback.
            with contextlib.suppress(asyncio.CancelledError):
                await app(scope, receive, send)

        self.app = app_on_this_connection


def http_protocol(base: type[asyncio.Protocol] = AutoHTTPProtocol) -> type[asyncio.Protocol]:
    """Return one of uvicorn's HTTP protocols that tells the application which connection it is on."""
    return type("HTTPProtocol", (_TransportInScope, base), {})


async def send_answer(send: Send, answer: Answer) -> None:
    """Send the whole answer."""
    await _start(send, answer)
    await send({"type": "http.response.body", "body": answer.body})


async def send_half(scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
    """Announce the whole body, send half of it and close the connection."""
    await _start(send, answer)
    await send(
        {"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True}
    )
    scope[_TRANSPORT].close()
    await wait_for_disconnect(receive)


async def reset(scope: Scope, receive: Receive) -> None:
    """Close the connection with a TCP reset."""
    transport: asyncio.Transport = scope[_TRANSPORT]
    # Lingering for zero seconds is what makes the kernel send RST instead of FIN.
    with contextlib.suppress(OSError):
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
    await wait_for_disconnect(receive)


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the connection is gone; uvicorn would answer 500 for us if we returned sooner."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _start(send: Send, answer: Answer) -> None:
    length = (b"content-length", str(len(answer.body)).encode())
    headers = answer.headers if answer.status == 204 else (*answer.headers, length)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
