"""The errors this provider raises: one tree, one class for each thing a DAG author can do about it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException


class FieldError(NamedTuple):
    """One bad argument: its name, the value that was given and the limit it breaks."""

    field: str
    value: Any
    limit: str

    def __str__(self) -> str:
        """Render as ``field: value is not limit``, with a long value cut short."""
        shown = repr(self.value)
        if len(shown) > 80:
            size = f" ({len(self.value)} characters)" if isinstance(self.value, str) else ""
            shown = f"{shown[:60]}…{size}"
        return f"{self.field}: {shown} is not {self.limit}"


class InvalidMetricError(AirflowFailException, ValueError):
    """
    An argument breaks a limit of the API; nothing was sent, and the task is not retried.

    :ivar errors: every bad argument as a :class:`FieldError` (``field``, ``value``, ``limit``).
    """

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(FieldError(*error) for error in errors)
        super().__init__("; ".join(map(str, self.errors)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.errors,)


class InvalidConnectionError(AirflowFailException, ValueError):
    """The Airflow connection cannot be used as it is: the message names its id, the field and the fix."""


class MissingValueError(AirflowFailException):
    """A metric was computed without a value, or failed: waiting on is no use, and the task is not retried."""


class SourceMetricError(AirflowException):
    """A metric to be carried is not there, or not as its mapping says; the message names what there was."""


class TooManyRejectsError(AirflowFailException):
    """More rows of a batch were rejected than ``max_rejects`` allows; the task is not retried."""


class QualityGateError(AirflowFailException):
    """Metrics are not as a quality gate asks: asking again is no use, and the task is not retried."""


class BatchStoppedError(AirflowException):
    """A batch was stopped from outside before its end; a retry goes on with it."""


class APIError(AirflowException):
    """
    A request to a service failed. The task is retried unless a subclass says otherwise.

    :ivar service: name of the service, e.g. ``Zelto``.
    :ivar method: HTTP method, e.g. ``POST``.
    :ivar path: path of the request, without host and query.
    """

    def __init__(self, message: str, *, service: str, method: str, path: str) -> None:
        super().__init__(message)
        self.service = service
        self.method = method
        self.path = path

    @property
    def message(self) -> str:
        """The whole message, as ``str()`` gives it."""
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return error_from_json, (error_to_json(self),)


class APIConnectionError(APIError):
    """No answer arrived: the host was not found, refused, reset or cut the connection."""

    #: Asking again does not mend a certificate.
    is_certificate_error = False


class APITimeoutError(APIConnectionError):
    """No answer arrived within the connection's ``timeout``."""


class APIResponseValidationError(APIError):
    """An answer arrived that is not what the API documents: HTML, cut JSON, a redirect, a missing field."""


class APIStatusError(APIError):
    """
    The service answered with an error status.

    :ivar status_code: HTTP status of the answer.
    :ivar details: what the service gave as details, or None.
    :ivar retry_after: seconds the service asked to wait, or None.
    :ivar is_documented: whether the body is an error as the service documents it; if not, something else may
        have answered.
    """

    def __init__(
        self,
        message: str,
        *,
        service: str,
        method: str,
        path: str,
        status_code: int,
        details: Any = None,
        retry_after: float | None = None,
        is_documented: bool = True,
    ) -> None:
        super().__init__(message, service=service, method=method, path=path)
        self.status_code = status_code  # type: ignore[assignment]  # Airflow's is an HTTPStatus for its own API
        self.details = details
        self.retry_after = retry_after
        self.is_documented = is_documented


class NotFoundError(APIStatusError):
    """404: the service does not know the call (yet: an uploaded call takes a while to be ingested)."""


class RateLimitError(APIStatusError):
    """429: too many requests; ``retry_after`` says how many seconds the service asked to wait."""


class InternalServerError(APIStatusError):
    """5xx: the service failed."""


class ClientError(APIStatusError, AirflowFailException):
    """4xx that asking again cannot mend: the task fails without using up its retries."""


class BadRequestError(ClientError):
    """400: the service refused the request's content."""


class AuthenticationError(ClientError):
    """401: the API key is missing or wrong."""


class PermissionDeniedError(ClientError):
    """403: the key is accepted but may not do this, e.g. metrics are not enabled for the organization."""


_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    # The one 4xx, besides 404 and 429, that says nothing against the request itself.
    408: APIStatusError,
    429: RateLimitError,
}


def status_error_class(status_code: int) -> type[APIStatusError]:
    """Give the class for an error status."""
    fallback = InternalServerError if status_code >= 500 else ClientError
    return _BY_STATUS.get(status_code, fallback)


def error_to_json(error: APIError | InvalidConnectionError | InvalidMetricError) -> dict[str, Any]:
    """Turn an error into JSON data, so that a trigger's event can carry it to the task."""
    if isinstance(error, InvalidMetricError):
        # A value may be anything, and a set is not JSON.
        details = json.loads(json.dumps(error.errors, default=repr))
        return {"type": type(error).__name__, "errors": details}
    attributes = {
        name: value
        for name, value in vars(error).items()
        if not name.startswith("_") and name != "is_certificate_error"
    }
    return {"type": type(error).__name__, "message": str(error), **attributes}


def error_from_json(data: Mapping[str, Any]) -> Any:
    """Rebuild the error that :func:`error_to_json` turned into data."""
    attributes = dict(data)
    match attributes.pop("type"):
        case InvalidMetricError.__name__:
            return InvalidMetricError(attributes["errors"])
        case InvalidConnectionError.__name__:
            return InvalidConnectionError(attributes["message"])
        case name:
            return _subclasses(APIError)[name](attributes.pop("message"), **attributes)


def _subclasses(root: type[APIError]) -> dict[str, type[APIError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(_subclasses(child))
    return found
