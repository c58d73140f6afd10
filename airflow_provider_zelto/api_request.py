"""What is asked of a service, where it is, and when it is asked again; without any I/O."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from tenacity import (
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from airflow_provider_zelto.exceptions import APIConnectionError, APIStatusError
from airflow_provider_zelto.secrecy import redact
from airflow_provider_zelto.services import Service

T = TypeVar("T")

DEFAULT_TIMEOUT = 30.0  # seconds, for connecting and for each read
DEFAULT_MAX_RETRIES = 4

_RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_backoff = wait_random_exponential(multiplier=0.5, max=30)


@dataclass(frozen=True)
class RetryPolicy:
    """
    When a request is repeated after a network error, a timeout, 408, 429 or 5xx.

    :ivar max_retries: how often at most.
    :ivar budget: seconds from the first attempt to the start of the last.
    :ivar longest_retry_after: seconds to wait at the service's word; longer is left to the task's own retry.
    """

    max_retries: int = DEFAULT_MAX_RETRIES
    budget: float = 120.0
    longest_retry_after: float = 60.0

    def repeats(self, error: BaseException) -> bool:
        """Tell whether asking again can help, and is not to be left to the task."""
        if isinstance(error, APIStatusError):
            waits = error.retry_after is None or error.retry_after <= self.longest_retry_after
            return waits and error.status_code in _RETRIED_STATUSES
        return isinstance(error, APIConnectionError) and not error.is_certificate_error

    def tenacity_options(self, before_sleep: Callable[[RetryCallState], None]) -> dict[str, Any]:
        """Give what tenacity's sync and async loop are both made from."""
        return {
            "retry": retry_if_exception(self.repeats),
            "wait": pause_before_retry,
            "stop": stop_after_attempt(self.max_retries + 1) | stop_before_delay(self.budget),
            "before_sleep": before_sleep,
            "reraise": True,
        }


def pause_before_retry(state: RetryCallState) -> float:
    """Give the seconds to wait: what the service asked for, or exponentially more with full jitter."""
    error = state.outcome.exception() if state.outcome else None
    retry_after = getattr(error, "retry_after", None)
    # Whoever was told to wait was told so together with others: come back spread out.
    return _backoff(state) if retry_after is None else retry_after + random.uniform(0, 0.5)


@dataclass(frozen=True)
class ClientSettings:
    """Where a service is and how to talk to it, as a connection says; secrets stay out of its repr."""

    service: Service
    base_url: str
    api_key: str = field(repr=False)
    timeout: float = DEFAULT_TIMEOUT
    retry_policy: RetryPolicy = RetryPolicy()
    ca_bundle: str | None = None
    proxy: str | None = field(default=None, repr=False)

    def redact(self, text: str) -> str:
        """Keep the key out of words that come from elsewhere."""
        return redact(text, self.api_key)

    @property
    def uses_tls(self) -> bool:
        """Tell whether the service is reached by HTTPS."""
        return self.base_url.startswith("https:")

    def proxy_for_host(self) -> str | None:
        """Give the proxy to go through: the connection's own, or else what the environment says."""
        if self.proxy or not self.uses_tls or proxy_bypass(urlsplit(self.base_url).netloc):
            return self.proxy
        proxies = getproxies()
        proxy = proxies.get("https") or proxies.get("all")
        return f"http://{proxy}" if proxy and "://" not in proxy else proxy


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
