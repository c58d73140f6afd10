"""What clients send: JSON objects read strictly, and what is wrong with an input, field by field."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import from_json

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


class InvalidInputError(ValueError):
    """What was sent is not what the endpoint takes; ``details`` says which field and why."""

    def __init__(self, details: dict[str, str], message: str | None = None) -> None:
        super().__init__(message or "; ".join(f"{field}: {sentence}" for field, sentence in details.items()))
        self.details = details


def uuid_or_none(text: str) -> str | None:
    """Return the UUID in lower case, or None where the text is not one of the usual 36 characters."""
    return text.lower() if _UUID.fullmatch(text) else None


def _uuid(text: str) -> str:
    if (value := uuid_or_none(text)) is None:
        raise ValueError("Must be a UUID")
    return value


Uuid = Annotated[str, AfterValidator(_uuid)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def parse_json(data: bytes) -> Any:
    """Return the JSON value; ``ValueError`` for anything that is not strict JSON, NaN included."""
    return from_json(data, allow_inf_nan=False)


def json_object(content_type: bytes, data: bytes) -> dict[str, Any]:
    """Return the object in a JSON body, or raise InvalidInputError."""
    if content_type.partition(b";")[0].strip().lower() != b"application/json":
        raise InvalidInputError(
            {"body": "Content-Type is not application/json"}, "The body must be sent as application/json"
        )
    try:
        value = parse_json(data)
    except ValueError as error:
        raise InvalidInputError({"body": f"Not valid JSON: {error}"}, "The body is not valid JSON") from None
    if not isinstance(value, dict):
        raise InvalidInputError({"body": "Must be a JSON object"}, "The body must be a JSON object")
    return value


def explain(error: ValidationError) -> InvalidInputError:
    """Return pydantic's findings with one sentence per field."""
    details: dict[str, str] = {}
    for finding in error.errors(include_url=False, include_context=False, include_input=False):
        # Names after the first are pydantic's own for the branches of a union.
        parts = [str(part) for part in finding["loc"] if part == finding["loc"][0] or isinstance(part, int)]
        field = ".".join(parts) or "body"
        sentence = finding["msg"].removeprefix("Value error, ")
        details[field] = f"{details[field]}; {sentence}" if field in details else sentence
    return InvalidInputError(details)
