"""The server: a socket, uvicorn in a thread, and a quick stop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
import time

import uvicorn
from starlette.types import ASGIApp

from airflow_provider_zelto.emulator.wire import http_protocol

_START_TIMEOUT = 10.0
# Clients that poll every minute keep their connection, as they would with the vendor.
_KEEP_ALIVE = 75
_BACKLOG = 2048


class Server:
    """An ASGI application on a socket, served from a daemon thread between ``start`` and ``stop``."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        if not 0 <= port <= 65535:
            raise ValueError(f"A port is a number from 0 to 65535, not {port}")
        self._app = app
        self._host = host
        self._port = port
        self._uvicorn: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """Return the base URL; with port 0 it is known once the server was started."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def start(self) -> None:
        """Bind and serve; OSError where the port is taken. A second start takes the same port again."""
        if self._thread is not None and self._thread.is_alive():
            raise RuntimeError(f"The emulator is running already, at {self.url}")
        bound = _bind(self._host, self._port)
        self._port = bound.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            http=http_protocol(),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE,
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(self._uvicorn, bound),), name="zelto-emulator", daemon=True
        )
        self._thread.start()
        self._wait_until_started()

    def stop(self) -> None:
        """Drop every connection, also those that hang, and wait for the thread to end."""
        self.request_stop()
        self.join()

    def request_stop(self) -> None:
        """Ask the server to stop without waiting for it, as a signal handler has to."""
        if self._loop is not None and self._uvicorn is not None:
            # A loop that is closed already has nothing left to stop.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_drop_everything, self._uvicorn)

    def join(self) -> None:
        """Wait until the server has stopped."""
        if self._thread is not None:
            self._thread.join()

    async def _serve(self, server: uvicorn.Server, bound: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        with bound:
            await server.serve(sockets=[bound])

    def _wait_until_started(self) -> None:
        assert self._uvicorn is not None
        assert self._thread is not None
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._uvicorn.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("The emulator did not start")
            time.sleep(0.002)


def exposure_warning(host: str) -> str | None:
    """Return a warning where other machines can reach the host, else None."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if loopback:
        return None
    return (
        f"{host} is not a loopback address: whoever reaches it can read and change everything in the emulator"
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay of 40 ms off only where the socket says that it speaks TCP.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except BaseException:
        bound.close()
        raise
    return bound


def _drop_everything(server: uvicorn.Server) -> None:
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    server.should_exit = True
    # Requests that still sleep are cancelled instead of waited for.
    server.force_exit = True
