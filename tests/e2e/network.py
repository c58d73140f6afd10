"""What may stand between Airflow and Zelto: TLS, and a forward proxy."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trustme

from tests.live.processes import ended_afterwards, free_port, spawn, wait_until


class TLSRelay:
    """A port that speaks TLS and passes what it gets on to a server that does not."""

    def __init__(self, port: int, authority: trustme.CA, name: str) -> None:
        self._target = port
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(self._tls)
        self.port = 0

    async def serve(self) -> None:
        """Take connections from now on."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextmanager
def tls_relays(port: int, authority: trustme.CA, *names: str) -> Iterator[list[int]]:
    """
    Serve what answers at a port over TLS too, for the length of a block.

    :param names: what the certificates are for; one port is given for each.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    relays = [TLSRelay(port, authority, name) for name in names]
    for relay in relays:
        asyncio.run_coroutine_threadsafe(relay.serve(), loop).result(10)
    yield [relay.port for relay in relays]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


class Proxy:
    """
    A forward proxy that is up and wants a user name and a password.

    :param port: the port it listens on.
    :param log: the file that names every tunnel it dug.
    """

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log

    def tunnels(self, port: int) -> int:
        """Count the tunnels to a port that were used and closed."""
        return self._log.read_text().count(f"CONNECT 127.0.0.1:{port}")


@contextmanager
def forward_proxy(folder: Path, user: str, password: str) -> Iterator[Proxy]:
    """Run proxy.py for the length of a block."""
    port, port_file, log = free_port(), folder / "proxy.port", folder / "proxy.log"
    options = {"--port": port, "--port-file": port_file, "--basic-auth": f"{user}:{password}"}
    once = {"--num-acceptors": 1, "--num-workers": 1, "--log-file": folder / "proxy-own.log"}
    words = [str(word) for option in {**options, **once}.items() for word in option]
    with ended_afterwards() as children:
        children.append(spawn("proxy", [sys.executable, "-m", "proxy", *words], os.environ, log))
        wait_until(port_file.exists, what="The start of the proxy", timeout=30, children=children)
        yield Proxy(port, folder / "proxy-own.log")
