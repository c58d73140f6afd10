"""Sending requests over pooled connections, and again where that can help, for sync and async alike."""

from __future__ import annotations

import asyncio
import json
import logging
import platform
import ssl
import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Self, TypeVar, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

import httpx
from airflow import __version__ as airflow_version
from tenacity import AsyncRetrying, RetryCallState, Retrying

from airflow_provider_zelto import __version__
from airflow_provider_zelto.api_answer import read_answer
from airflow_provider_zelto.api_request import APIRequest, ClientSettings
from airflow_provider_zelto.exceptions import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    InvalidConnectionError,
)

T = TypeVar("T")

CONNECTIONS = 20

_CONNECT_TIMEOUT = 10.0
_log = logging.getLogger(__name__)

USER_AGENT = " ".join(
    (
        f"airflow-provider-zelto/{__version__}",
        f"apache-airflow/{airflow_version}",
        f"python/{platform.python_version()}",
    )
)


def _announce_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0
    _log.warning("%s Trying again in %.1f s (attempt %d failed).", error, pause, state.attempt_number)


def _network_errors() -> tuple[type[Exception], ...]:
    # httpx-aiohttp lets through what has no name in httpx, e.g. the nonsense of a broken proxy.
    aiohttp = sys.modules.get("aiohttp")
    return (httpx.HTTPError, aiohttp.ClientError) if aiohttp else (httpx.HTTPError,)


def _connection_error(settings: ClientSettings, request: APIRequest[Any], error: Exception) -> APIError:
    service = settings.service
    origin = request.origin(service)
    if isinstance(error, httpx.DecodingError):
        return APIResponseValidationError(
            f"{service.name} answered {request} with a body that cannot be decoded: "
            f"{settings.redact(str(error))}",
            **origin,
        )
    # httpx-aiohttp calls a connection that was cut a timeout, too.
    if isinstance(error, httpx.TimeoutException) and (
        not error.__cause__ or _stems_from(error, TimeoutError)
    ):
        return APITimeoutError(
            f"{service.name} did not answer {request} within {settings.timeout:g} s "
            f"({type(error).__name__}). Raise timeout in the extra of the connection if it needs longer.",
            **origin,
        )
    is_certificate_error = _stems_from(error, ssl.SSLCertVerificationError)
    advice = (
        "Set ca_bundle in the extra of the connection if the certificate is signed by a private CA."
        if is_certificate_error
        else "Check the host (and proxy) of the connection."
    )
    what = settings.redact(str(error)) or type(error).__name__
    found = APIConnectionError(
        f"{service.name} at {settings.base_url} could not be reached for {request}: {what}. {advice}",
        **origin,
    )
    found.is_certificate_error = is_certificate_error
    return found


def _stems_from(error: BaseException | None, cause: type[BaseException]) -> bool:
    while error is not None and not isinstance(error, cause):
        error = error.__cause__ or error.__context__
    return error is not None


class _Client:
    """What the two clients share: everything but waiting for the network."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        header, prefix = settings.service.auth_header
        self._headers = httpx.Headers(
            {
                "Host": urlsplit(settings.base_url).netloc,
                header: prefix + settings.api_key,
                "User-Agent": USER_AGENT,
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
            }
        ).raw
        timeout = httpx.Timeout(settings.timeout, connect=min(settings.timeout, _CONNECT_TIMEOUT))
        self._extensions = {"timeout": timeout.as_dict()}
        # Parsing a URL is a tenth of the CPU that a request costs, and calls have several metrics.
        self._url = lru_cache(maxsize=1024)(lambda path: httpx.URL(settings.base_url + path))

    def _build(self, request: APIRequest[Any]) -> httpx.Request:
        headers, body = self._headers, b""
        if request.body is not None:
            body = json.dumps(request.body, ensure_ascii=False, allow_nan=False).encode()
            length = str(len(body)).encode()
            headers = [*headers, (b"Content-Type", b"application/json"), (b"Content-Length", length)]
        built = httpx.Request(
            request.method,
            self._url(request.path),
            params=request.params,
            headers=headers,
            # With content= instead, working out the same headers costs as much as all else here.
            stream=httpx.ByteStream(body),
            extensions=self._extensions,
        )
        built.read()
        return built

    def _read(self, request: APIRequest[T], response: httpx.Response) -> T:
        return read_answer(self.settings, request, response.status_code, response.headers, response.content)


class APIClient(_Client):
    """Sends requests over one pool of connections, from a worker's threads."""

    def __init__(self, settings: ClientSettings) -> None:
        super().__init__(settings)
        # A transport, not httpx.Client: that follows cookies and writes a line at INFO for every request.
        self._transport = httpx.HTTPTransport(**_transport_options(settings, CONNECTIONS))

    def send(self, request: APIRequest[T]) -> T:
        """Send a request, repeating it as the retry policy says, and give its result."""
        retrying = Retrying(**self.settings.retry_policy.tenacity_options(_announce_retry))
        return cast("T", retrying(self.attempt, request))

    def attempt(self, request: APIRequest[T]) -> T:
        """Send a request once and give its result."""
        try:
            response = self._transport.handle_request(self._build(request))
            try:
                response.read()
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise _connection_error(self.settings, request, error) from None
        return self._read(request, response)

    def close(self) -> None:
        """Close the pooled connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AsyncAPIClient(_Client):
    """
    Sends requests from an event loop.

    :param settings: where to, and how.
    :param connections: how many requests are under way at once; more wait for their turn.
    """

    def __init__(self, settings: ClientSettings, connections: int = CONNECTIONS) -> None:
        super().__init__(settings)
        self._loop = ref(asyncio.get_running_loop())
        self._new_transport = _async_transports(settings, connections)
        self._turns = asyncio.Semaphore(connections)
        self._idle: list[httpx.AsyncBaseTransport] = []
        self._retry_loops: list[AsyncRetrying] = []
        self._users = 0

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop it was made in, as long as that exists."""
        return self._loop()

    @classmethod
    async def shared(cls, settings: ClientSettings) -> AsyncAPIClient:
        """Give this event loop's client for these settings; each user closes it once."""
        clients = _shared_clients.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
        client = clients.get(settings)
        if client is None:
            # Reading CA certificates and importing aiohttp take longer than an event loop can spare.
            await asyncio.to_thread(_async_transports, settings, CONNECTIONS)
            client = clients.get(settings)  # another coroutine may have been faster
        if client is None:
            client = clients[settings] = cls(settings)
        client._users += 1
        return client

    async def send(self, request: APIRequest[T]) -> T:
        """Send a request, repeating it as the retry policy says, and give its result."""
        # tenacity's loop refers to itself, so a new one each time is left to the garbage collector, whose
        # full runs stop a triggerer's event loop for a moment. One may serve again, but not two at once.
        if self._retry_loops:
            retrying = self._retry_loops.pop()
        else:
            retrying = AsyncRetrying(**self.settings.retry_policy.tenacity_options(_announce_retry))
        try:
            return cast("T", await retrying(self.attempt, request))
        finally:
            self._retry_loops.append(retrying)

    async def attempt(self, request: APIRequest[T]) -> T:
        """Send a request once and give its result."""
        async with self._turns:
            # The one used last: its connection is the least likely to have been closed for idling.
            transport = self._idle.pop() if self._idle else self._new_transport()
            try:
                response = await transport.handle_async_request(self._build(request))
                try:
                    await response.aread()
                finally:
                    await response.aclose()
            except _network_errors() as error:
                # Not from it: a cause is printed as well, and may quote the server.
                raise _connection_error(self.settings, request, error) from None
            finally:
                self._idle.append(transport)
        return self._read(request, response)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the client; the last user closes its connections."""
        self._users -= 1
        if self._users <= 0:
            loop = self.loop
            shared = _shared_clients.get(loop) if loop is not None else None
            if shared is not None and shared.get(self.settings) is self:
                del shared[self.settings]
            while self._idle:
                await self._idle.pop().aclose()

    def close_soon(self) -> None:
        """Leave the client from outside its event loop, e.g. when the garbage collector takes a hook away."""
        loop = self.loop
        if loop is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(self.aclose(), loop)


def _transport_options(settings: ClientSettings, connections: int) -> dict[str, Any]:
    proxy = settings.proxy_for_host()
    return {
        # Plain HTTP is for loopback only; a TLS context for it would be made in vain.
        "verify": tls_context(settings.ca_bundle) if settings.uses_tls else False,
        "limits": httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        "proxy": httpx.Proxy(proxy) if proxy else None,
    }


def _async_transports(settings: ClientSettings, connections: int) -> Callable[[], httpx.AsyncBaseTransport]:
    """Make what gives the transport for one more request under way."""
    try:
        from httpx_aiohttp import AiohttpTransport
    except ModuleNotFoundError:
        # httpx's pool searches itself for every request, and collapses beyond 32 connections: no pool at all.
        options = _transport_options(settings, 1)
        return lambda: httpx.AsyncHTTPTransport(**options)
    shared = AiohttpTransport(**_transport_options(settings, connections))
    return lambda: shared


# Weakly on both sides: a client's connections hold its event loop, which must go when it has ended.
_shared_clients: WeakKeyDictionary[
    asyncio.AbstractEventLoop, WeakValueDictionary[ClientSettings, AsyncAPIClient]
] = WeakKeyDictionary()
_tls_lock = threading.Lock()


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """
    Give the process's one TLS context for a CA bundle (None: the usual CAs).

    :raises InvalidConnectionError: when the bundle cannot be read.
    """
    try:
        with _tls_lock:  # or a thousand waits that start together would each make one
            return _new_tls_context(ca_bundle)
    except OSError as error:
        raise InvalidConnectionError(
            f"ca_bundle: {ca_bundle!r} is not a file of PEM certificates that can be read: {error}"
        ) from error


@lru_cache(maxsize=16)
def _new_tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_bundle) if ca_bundle else httpx.create_ssl_context()
