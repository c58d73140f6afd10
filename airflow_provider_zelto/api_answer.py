"""What an answer means: the result of a request, or the error that says what is wrong; without any I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar

from airflow_provider_zelto.api_request import APIRequest, ClientSettings
from airflow_provider_zelto.exceptions import (
    APIResponseValidationError,
    APIStatusError,
    status_error_class,
)

T = TypeVar("T")


def read_answer(
    settings: ClientSettings, request: APIRequest[T], status: int, headers: Mapping[str, str], content: bytes
) -> T:
    """
    Turn an answer into the request's result.

    :param settings: of the service that answered.
    :param request: what was asked, which says how to read the answer.
    :param status: HTTP status.
    :param headers: by their names in lower case, or in whichever case.
    :param content: the whole body.
    :raises APIStatusError: for an error status.
    :raises APIResponseValidationError: when the answer is not what the API documents.
    """
    text = content.decode(errors="replace")
    if 400 <= status <= 599:
        raise _status_error(settings, request, status, headers, text)
    try:
        if not 200 <= status <= 299:
            target = headers.get("location", "nowhere")
            raise ValueError(f"a redirect to {target}, which is not followed: the key would go along")
        return request.read(_decode(content))
    except (ValueError, RecursionError) as error:
        what = (
            f"{error}; it begins {settings.redact(text)[:200]!r}"
            if isinstance(error, json.JSONDecodeError)
            else str(error)
        )
        what = settings.redact(what)
        raise APIResponseValidationError(
            f"{settings.service.name} answered {status} to {request} with something that is "
            f"not documented: {what}. Check the host of the connection, and what may stand before it.",
            **request.origin(settings.service),
        ) from None


def _decode(content: bytes) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no JSON")

    decoded = json.loads(content, parse_constant=refuse)
    if b"\\ud" in content.lower():
        # Half a character can be written in JSON, but neither logged nor stored.
        json.dumps(decoded, ensure_ascii=False).encode()
    return decoded


def _status_error(
    settings: ClientSettings, request: APIRequest[Any], status: int, headers: Mapping[str, str], text: str
) -> APIStatusError:
    service, longest = settings.service, settings.retry_policy.longest_retry_after
    try:
        words, details = service.read_error(json.loads(text))
        is_documented = bool(words)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
        words, details, is_documented = settings.redact(text)[:200], None, False
    words, details = settings.redact(words), json.loads(settings.redact(json.dumps(details)))
    retry_after = _retry_after(headers.get("retry-after", "").strip())
    said = f": {words[:1000]}" if words else ""
    if details:
        said += f" {json.dumps(details)[:1000]}"
    message = f"{service.name} answered {_phrase(status)} to {request}{said}."
    if advice := service.advice.get(status):
        message += f" {advice}"
    if retry_after is not None and retry_after > longest:
        message += (
            f" It asks to wait {retry_after:.0f} s, and a request waits at most {longest:.0f} s by itself: "
            "give the task retries with a retry_delay as long."
        )
    return status_error_class(status)(
        message,
        **request.origin(service),
        status_code=status,
        details=details,
        retry_after=retry_after,
        is_documented=is_documented,
    )


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} (a status without a name)"


def _retry_after(value: str) -> float | None:
    """Read ``Retry-After`` in seconds, whether it is given in seconds or as a date."""
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
