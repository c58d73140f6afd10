"""Request bodies: JSON objects read strictly, and what is wrong with one, field by field."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError
from pydantic_core import from_json

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


class BadBodyError(ValueError):
    """The body is not what the endpoint takes; ``details`` says which field and why."""

    def __init__(self, message: str, details: dict[str, str]) -> None:
        super().__init__(message)
        self.details = details


def uuid_or_none(text: str) -> str | None:
    """Return the UUID in lower case, or None where the text is not one of the usual 36 characters."""
    return text.lower() if _UUID.fullmatch(text) else None


def _uuid(text: str) -> str:
    if (value := uuid_or_none(text)) is None:
        raise ValueError("Must be a UUID")
    return value


Uuid = Annotated[str, AfterValidator(_uuid)]


def parse_json(data: bytes) -> Any:
    """Return the JSON value; ``ValueError`` for anything that is not strict JSON, NaN included."""
    return from_json(data, allow_inf_nan=False)


def json_object(content_type: bytes, data: bytes) -> dict[str, Any]:
    """Return the object in a JSON body, or raise BadBodyError."""
    if content_type.partition(b";")[0].strip().lower() != b"application/json":
        raise BadBodyError(
            "The body must be sent as application/json", {"body": "Content-Type is not application/json"}
        )
    try:
        value = parse_json(data)
    except ValueError as error:
        raise BadBodyError("The body is not valid JSON", {"body": f"Not valid JSON: {error}"}) from None
    if not isinstance(value, dict):
        raise BadBodyError("The body must be a JSON object", {"body": "Must be a JSON object"})
    return value


def explain(error: ValidationError) -> BadBodyError:
    """Return pydantic's findings with one sentence per field."""
    details: dict[str, str] = {}
    for finding in error.errors(include_url=False, include_context=False, include_input=False):
        # Names after the first are pydantic's own for the branches of a union.
        parts = [str(part) for part in finding["loc"] if part == finding["loc"][0] or isinstance(part, int)]
        field = ".".join(parts) or "body"
        sentence = finding["msg"].removeprefix("Value error, ")
        details[field] = f"{details[field]}; {sentence}" if field in details else sentence
    return BadBodyError("; ".join(f"{field}: {sentence}" for field, sentence in details.items()), details)
