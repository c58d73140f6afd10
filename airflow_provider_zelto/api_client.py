"""How requests reach the services: one retry policy and one error mapping, for sync and async alike."""

from __future__ import annotations

import asyncio
import json
import logging
import platform
import random
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Generic, Self, TypeVar, cast
from weakref import WeakKeyDictionary

import httpx
from airflow import __version__ as airflow_version
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from airflow_provider_zelto import __version__
from airflow_provider_zelto.exceptions import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    InvalidConnectionError,
    status_error_class,
)

T = TypeVar("T")

DEFAULT_TIMEOUT = 30.0  # seconds, for connecting and for each read
DEFAULT_MAX_RETRIES = 4
LONGEST_RETRY_AFTER = 60.0  # seconds a request waits at the service's word before the task's own retry must
RETRY_BUDGET = 120.0  # seconds from the first attempt of a request to the start of its last
CONNECTIONS = 20

_CONNECT_TIMEOUT = 10.0
_RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_backoff = wait_random_exponential(multiplier=0.5, max=30)
_log = logging.getLogger(__name__)

USER_AGENT = " ".join(
    (
        f"airflow-provider-zelto/{__version__}",
        f"apache-airflow/{airflow_version}",
        f"python/{platform.python_version()}",
    )
)


@dataclass(frozen=True, eq=False)
class Service:
    """
    What tells one service from another.

    :ivar name: as people write it.
    :ivar base_url: the vendor's address, used when the connection names no host.
    :ivar auth_header: header that carries the key, and the text before the key in it.
    :ivar read_error: takes the words and the details out of a decoded error body.
    :ivar advice: what to do about an error status.
    """

    name: str
    base_url: str
    auth_header: tuple[str, str]
    read_error: Callable[[Mapping[str, Any]], tuple[str, Any]]
    advice: Mapping[int, str]


def _read_zelto_error(body: Mapping[str, Any]) -> tuple[str, Any]:
    return ": ".join(str(body[part]) for part in ("error", "message") if body.get(part)), body.get("details")


ZELTO = Service(
    name="Zelto",
    base_url="https://api.zelto.ai",
    auth_header=("Authorization", "Bearer "),
    read_error=_read_zelto_error,
    advice={
        400: "Correct the values sent.",
        401: "Put a valid API key into the password field of the connection "
        "(Zelto: Settings → Integrations → API Call Upload).",
        403: "Have metrics enabled for the organization, and use a metric id that belongs to it.",
        404: "The key's organization has no such call (one uploaded a moment ago takes a while to appear).",
    },
)


@dataclass(frozen=True)
class ClientSettings:
    """Where a service is and how to talk to it, as a connection says; secrets stay out of its repr."""

    service: Service
    base_url: str
    api_key: str = field(repr=False)
    timeout: float = DEFAULT_TIMEOUT
    max_retries: int = DEFAULT_MAX_RETRIES
    ca_bundle: str | None = None
    proxy: str | None = field(default=None, repr=False)

    @property
    def uses_tls(self) -> bool:
        """Tell whether the service is reached by HTTPS."""
        return self.base_url.startswith("https:")

    def httpx_options(self) -> dict[str, Any]:
        """Give what httpx's sync and async client are both made from."""
        header, prefix = self.service.auth_header
        return {
            "base_url": self.base_url,
            "headers": {
                header: prefix + self.api_key,
                "User-Agent": USER_AGENT,
                "Accept": "application/json",
            },
            "timeout": httpx.Timeout(self.timeout, connect=min(self.timeout, _CONNECT_TIMEOUT)),
            "limits": httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            "proxy": self.proxy,
            # A redirect could carry the key to another host.
            "follow_redirects": False,
            # Plain HTTP is for loopback only; a TLS context for it would be made in vain.
            "verify": tls_context(self.ca_bundle) if self.uses_tls else False,
        }


@dataclass(frozen=True)
class APIRequest(Generic[T]):
    """
    A request and how to read its answer.

    :ivar path: below the base URL, built from checked values only.
    :ivar about: what an error names, e.g. ``call 3c90…, label 'Compliance Check'``.
    :ivar read: checks the decoded answer and gives the result, or raises ValueError with what is wrong.
    """

    method: str
    path: str
    about: str
    read: Callable[[Any], T]
    params: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        """Name the request in errors and logs."""
        return f"{self.method} {self.path} ({self.about})"

    def origin(self, service: Service) -> dict[str, str]:
        """Give the attributes that every :class:`APIError` has."""
        return {"service": service.name, "method": self.method, "path": self.path}


def read_response(settings: ClientSettings, request: APIRequest[T], response: httpx.Response) -> T:
    """Turn a response into the request's result, or into the error that says what is wrong with it."""
    # Should a service echo the key, it must not get into errors and logs.
    text = response.text.replace(settings.api_key, "***")
    if response.is_error:
        raise _status_error(settings.service, request, response, text)
    try:
        if not response.is_success:
            target = response.headers.get("location", "nowhere")
            raise ValueError(f"a redirect to {target}, which is not followed: the key would go along")
        return request.read(json.loads(text))
    except ValueError as error:
        what = f"{error}; it begins {text[:200]!r}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise APIResponseValidationError(
            f"{settings.service.name} answered {response.status_code} to {request} with something that is "
            f"not documented: {what}. Check the host of the connection, and what may stand before it.",
            **request.origin(settings.service),
        ) from None


def _status_error(
    service: Service, request: APIRequest[Any], response: httpx.Response, text: str
) -> APIStatusError:
    status = response.status_code
    try:
        body = json.loads(text)
        words, details = service.read_error(body)
    except (ValueError, AttributeError, TypeError):
        words, details = text[:200], None
    retry_after = _retry_after(response)
    message = (
        f"{service.name} answered {status} {_phrase(status)} to {request}: {words}"
        f"{f' {json.dumps(details)[:1000]}' if details else ''}. {service.advice.get(status, '')}".rstrip()
    )
    if retry_after is not None and retry_after > LONGEST_RETRY_AFTER:
        message += (
            f" It asks to wait {retry_after:.0f} s, and a request waits at most {LONGEST_RETRY_AFTER:.0f} s "
            "by itself: give the task retries with a retry_delay as long."
        )
    return status_error_class(status)(
        message, **request.origin(service), status_code=status, details=details, retry_after=retry_after
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _retry_after(response: httpx.Response) -> float | None:
    """Read ``Retry-After`` in seconds, whether it is given in seconds or as a date."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _connection_error(settings: ClientSettings, request: APIRequest[Any], error: httpx.HTTPError) -> APIError:
    service = settings.service
    origin = request.origin(service)
    if isinstance(error, httpx.DecodingError):
        return APIResponseValidationError(
            f"{service.name} answered {request} with a body that cannot be decoded: {error}", **origin
        )
    if isinstance(error, httpx.TimeoutException):
        return APITimeoutError(
            f"{service.name} did not answer {request} within {settings.timeout:g} s "
            f"({type(error).__name__}). Raise timeout in the extra of the connection if it needs longer.",
            **origin,
        )
    advice = (
        "Set ca_bundle in the extra of the connection if the certificate is signed by a private CA."
        if _is_certificate_error(error)
        else "Check the host (and proxy) of the connection."
    )
    return APIConnectionError(
        f"{service.name} at {settings.base_url} could not be reached for {request}: "
        f"{error or type(error).__name__}. {advice}",
        **origin,
    )


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _is_worth_repeating(error: BaseException) -> bool:
    if isinstance(error, APIStatusError):
        return error.status_code in _RETRIED_STATUSES and (error.retry_after or 0) <= LONGEST_RETRY_AFTER
    return isinstance(error, APIConnectionError) and not _is_certificate_error(error)


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    retry_after = getattr(error, "retry_after", None)
    # Whoever was told to wait was told so together with others: come back spread out.
    return _backoff(state) if retry_after is None else retry_after + random.uniform(0, 0.5)


def _retry_policy(max_retries: int) -> dict[str, Any]:
    def announce(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0
        _log.warning("%s Trying again in %.1f s (%d of %d).", error, pause, state.attempt_number, max_retries)

    return {
        "retry": retry_if_exception(_is_worth_repeating),
        "wait": _pause,
        "stop": stop_after_attempt(max_retries + 1) | stop_before_delay(RETRY_BUDGET),
        "before_sleep": announce,
        "reraise": True,
    }


class APIClient:
    """Sends requests over one pooled httpx client, from a worker's thread."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self._http = httpx.Client(**settings.httpx_options())

    def send(self, request: APIRequest[T]) -> T:
        """Send a request, repeating it as the retry policy says, and give its result."""
        retrying = Retrying(**_retry_policy(self.settings.max_retries))
        return cast("T", retrying(self._send_once, request))

    def _send_once(self, request: APIRequest[T]) -> T:
        with _request_lines_at_debug():
            try:
                response = self._http.request(
                    request.method, request.path, params=request.params, json=request.body
                )
            except httpx.HTTPError as error:
                raise _connection_error(self.settings, request, error) from error
        return read_response(self.settings, request, response)

    def close(self) -> None:
        """Close the pooled connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AsyncAPIClient:
    """Sends requests from an event loop, over connections shared by all who ask the same service there."""

    def __init__(self, settings: ClientSettings, loop: asyncio.AbstractEventLoop) -> None:
        self.settings = settings
        self.loop = loop
        self._users = 0
        self._http = httpx.AsyncClient(**settings.httpx_options())
        # httpx's pool looks at every waiting request whenever one ends, which thousands of waits would
        # feel; a semaphore lets no more in than there are connections.
        self._free = asyncio.Semaphore(CONNECTIONS)

    @classmethod
    async def shared(cls, settings: ClientSettings) -> AsyncAPIClient:
        """Give this event loop's client for these settings; each user closes it once."""
        loop = asyncio.get_running_loop()
        if settings.uses_tls:
            # Reading the CA certificates takes 20 ms that an event loop cannot spare.
            await asyncio.to_thread(tls_context, settings.ca_bundle)
        clients = _shared_clients.setdefault(loop, {})
        client = clients.get(settings)
        if client is None:
            client = clients[settings] = cls(settings, loop)
        client._users += 1
        return client

    async def send(self, request: APIRequest[T]) -> T:
        """Send a request, repeating it as the retry policy says, and give its result."""
        retrying = AsyncRetrying(**_retry_policy(self.settings.max_retries))
        return cast("T", await retrying(self._send_once, request))

    async def _send_once(self, request: APIRequest[T]) -> T:
        async with self._free:
            with _request_lines_at_debug():
                try:
                    response = await self._http.request(
                        request.method, request.path, params=request.params, json=request.body
                    )
                except httpx.HTTPError as error:
                    raise _connection_error(self.settings, request, error) from error
        return read_response(self.settings, request, response)

    async def aclose(self) -> None:
        """Leave the client; the last user closes its connections."""
        self._users -= 1
        if self._users == 0:
            _shared_clients.get(self.loop, {}).pop(self.settings, None)
            await self._http.aclose()

    def close_soon(self) -> None:
        """Leave the client from outside its event loop, e.g. when the garbage collector takes a hook away."""
        if self.loop.is_running():
            asyncio.run_coroutine_threadsafe(self.aclose(), self.loop)


_shared_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[ClientSettings, AsyncAPIClient]] = (
    WeakKeyDictionary()
)
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


_sending = ContextVar("sending", default=False)


@contextmanager
def _request_lines_at_debug() -> Iterator[None]:
    """Keep httpx from writing a line at INFO for every request, without touching other users of httpx."""
    _httpx_log.addFilter(_demote_request_line)
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)


def _demote_request_line(record: logging.LogRecord) -> bool:
    if not _sending.get() or record.levelno != logging.INFO:
        return True
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return _httpx_log.isEnabledFor(logging.DEBUG)


_httpx_log = logging.getLogger("httpx")
