"""A server that answers with any bytes at all, with or without TLS."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self


class RawServer:
    """
    Answer every connection's first request with what ``answer`` makes of it, and close.

    :param answer: takes the request's bytes, gives the answer's.
    :param tls: what to speak TLS with; None for plain HTTP.
    """

    def __init__(self, answer: Callable[[bytes], bytes], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._scheme = "https" if tls else "http"

        class Handler(socketserver.BaseRequestHandler):
            def handle(handler) -> None:
                self.connections += 1
                # A client that goes away, or trusts no certificate of ours, is what some tests are about.
                with suppress(OSError):
                    self._answer(tls.wrap_socket(handler.request, True) if tls else handler.request, answer)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def _answer(self, connection: ssl.SSLSocket, answer: Callable[[bytes], bytes]) -> None:
        request = b""
        while not _is_whole(request):
            if not (more := connection.recv(65536)):
                return
            request += more
        self.requests.append(request)
        connection.sendall(answer(request))
        connection.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _is_whole(request: bytes) -> bool:
    head, blank_line, body = request.partition(b"\r\n\r\n")
    length = next(
        (line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")),
        b"0",
    )
    return bool(blank_line) and len(body) >= int(length)


def http_answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Give a whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
