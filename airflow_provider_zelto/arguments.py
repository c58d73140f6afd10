"""Checking arguments before anything is sent, so that one error names all that is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from numbers import Real
from typing import Annotated, Any, NoReturn, Self
from uuid import UUID

import pendulum
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from airflow_provider_zelto.exceptions import FieldError, InvalidMetricError

LABEL_LENGTHS = (1, 255)
DEFAULT_CONCURRENCY = 16
_UUID = re.compile(r"(urn:uuid:|\{)?[0-9A-Fa-f]{8}(-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}\}?")
#: For whoever is given text for a list: a template renders to text unless the DAG renders native objects.
NATIVE_HINT = " (a template needs render_template_as_native_obj=True for that)"
_TEMPLATE_MARKS = ("{{", "{%", "{#")


class Arguments(BaseModel):
    """Base of what a hook call or an operator is given: fields are named as the user typed them."""

    # A DAG file is parsed all day and uses few of these: the others are not worth the time to build them.
    model_config = ConfigDict(extra="forbid", frozen=True, loc_by_alias=False, defer_build=True)

    @classmethod
    def conflicts(cls, arguments: Mapping[str, Any]) -> list[FieldError]:
        """Find what is wrong between fields that are each right by themselves."""
        return []

    @classmethod
    def check(cls, arguments: Mapping[str, Any]) -> Self:
        """
        Validate all arguments.

        :raises InvalidMetricError: naming every bad argument, its value and its limit.
        """
        try:
            checked, errors = cls.model_validate(arguments), []
        except ValidationError as error:
            checked, errors = None, [cls._field_error(detail) for detail in error.errors(include_url=False)]
        errors += cls.conflicts(arguments)
        if checked is None or errors:
            raise InvalidMetricError(errors)
        return checked

    @classmethod
    def check_literals(cls, arguments: Mapping[str, Any]) -> None:
        """
        Validate the arguments that are already known while the DAG is parsed, and leave templated ones.

        :raises InvalidMetricError: naming every bad literal argument, its value and its limit.
        """
        try:
            cls.check(arguments)
        except InvalidMetricError as error:
            templated = {name for name, value in arguments.items() if is_templated(value)}
            if known := [bad for bad in error.errors if templated.isdisjoint(bad.field.split(" and "))]:
                raise InvalidMetricError(known) from None

    @classmethod
    def _field_error(cls, detail: Mapping[str, Any]) -> FieldError:
        field = str(detail["loc"][0])
        match detail["type"]:
            case "missing":
                return FieldError(field, None, "allowed: it is required")
            case "extra_forbidden":
                twice = field in cls.model_fields
                known = f"a known field: {', '.join(cls.model_fields)}"
                return FieldError(
                    field, detail["input"], "allowed beside the same field in camelCase" if twice else known
                )
            case _:
                return FieldError(field, detail["input"], detail["msg"])


def is_templated(value: Any) -> bool:
    """Tell whether a value, or one inside it, is only known once a task runs: a Jinja text or an XCom."""
    if isinstance(value, str):
        return any(mark in value for mark in _TEMPLATE_MARKS)
    if isinstance(value, Mapping):
        return any(map(is_templated, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(is_templated, value))
    return hasattr(value, "resolve")


def is_list(value: Any) -> bool:
    """Tell whether a value is a list, or an XCom that reads itself; one to come calls itself iterable too."""
    kinds = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    return kinds and not hasattr(value, "resolve")


def listed(field: str, value: Any) -> list[Any]:
    """
    Take a list, or an XCom of a mapped task, which reads itself from the main thread only.

    :raises InvalidMetricError: when it is neither.
    """
    if not is_list(value):
        raise InvalidMetricError([FieldError(field, value, "a list, or the URI of a file")])
    return list(value)


def refuse(limit: str) -> NoReturn:
    """Say from within a validator which limit the value breaks."""
    raise PydanticCustomError("limit", "{limit}", {"limit": limit})


def uuid(value: Any) -> str:
    """Take a UUID in any spelling and normalise it, so that only its digits and hyphens can reach a path."""
    if isinstance(value, UUID):
        return str(value)
    # UUID() itself takes whatever int() takes: signs, spaces, underscores.
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        refuse("a UUID")
    return str(UUID(value))


def text(minimum: int, maximum: int) -> Callable[[Any], str]:
    """Make a validator of text by its number of characters."""
    limit = (
        f"text of {minimum} to {maximum} characters" if minimum else f"text of at most {maximum} characters"
    )

    def check(value: Any) -> str:
        if not isinstance(value, str) or not minimum <= len(value) <= maximum:
            refuse(limit)
        try:
            value.encode()
        except UnicodeEncodeError:
            refuse("text that UTF-8 can carry")
        return value

    return check


def identifier(minimum: int, maximum: int) -> Callable[[Any], str]:
    """Make a validator of ids that go into a path: letters, digits, ``-`` and ``_`` only."""
    pattern = re.compile(rf"[0-9A-Za-z_-]{{{minimum},{maximum}}}")
    limit = f"an id of {minimum} to {maximum} letters, digits, - and _"

    def check(value: Any) -> str:
        return value if isinstance(value, str) and pattern.fullmatch(value) else refuse(limit)

    return check


def one_of(*choices: str) -> Callable[[Any], str]:
    """Make a validator of a choice."""

    def check(value: Any) -> str:
        return (
            value if isinstance(value, str) and value in choices else refuse(f"one of {', '.join(choices)}")
        )

    return check


def boolean(value: Any) -> bool:
    """Take True or False, and the text that a template renders them to."""
    truth = {True: True, False: False, "True": True, "False": False}
    return truth[value] if isinstance(value, bool | str) and value in truth else refuse("True or False")


def names(value: Any) -> frozenset[str]:
    """Take a list of at least one name."""
    if not isinstance(value, list | tuple | set | frozenset) or not (found := list(value)):
        refuse(f"a list of at least one name{NATIVE_HINT}")
    return frozenset(map(text(*LABEL_LENGTHS), found))


def optional_names(value: Any) -> frozenset[str] | None:
    """Take a list of at least one name, or None for any name."""
    return None if value is None else names(value)


def whole_number(minimum: int, maximum: int | None = None) -> Callable[[Any], int]:
    """Make a validator of whole numbers."""
    limit = f"a whole number of at least {minimum}"
    if maximum is not None:
        limit = f"a whole number from {minimum} to {maximum}"

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            refuse(limit)
        return value if maximum is None or value <= maximum else refuse(limit)

    return check


def count(minimum: int) -> Callable[[Any], int]:
    """Make a validator of whole numbers, and of the digits that a template renders them to."""
    check = whole_number(minimum)
    return lambda value: check(int(value) if isinstance(value, str) and value.isdecimal() else value)


def number(minimum: float, maximum: float) -> Callable[[Any], int | float]:
    """Make a validator of numbers, and of the numeric text that a template renders them to; no boolean."""

    def check(value: Any) -> int | float:
        try:
            found = float(value) if isinstance(value, str | Decimal | Real) else math.nan
        except (ValueError, OverflowError):
            found = math.nan
        if isinstance(value, bool) or not minimum <= found <= maximum:
            refuse(f"a number from {minimum:g} to {maximum:g}")
        return int(found) if found.is_integer() else found

    return check


def rate(value: Any) -> float:
    """Take a number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        refuse("a number above 0")
    return value


def point_in_time(value: Any) -> datetime | None:
    """Take an aware datetime or ISO 8601 text (UTC where it has no offset)."""
    if isinstance(value, str):
        try:
            return parse_time(value)
        except ValueError:
            pass
    elif value is None or (isinstance(value, datetime) and value.tzinfo is not None):
        return value
    refuse("an ISO 8601 time or a datetime with a timezone")


def parse_time(value: str) -> datetime:
    """
    Read an ISO 8601 point in time; one without an offset is UTC.

    :raises ValueError: when it is none.
    """
    if not value[:4].isdecimal():  # "now" and a time of day would mean another moment at each question
        raise ValueError(f"{value!r} is not a point in time")
    try:
        parsed: object = datetime.fromisoformat(value)  # twenty times as fast, for the forms that it knows
    except ValueError:
        parsed = pendulum.parse(value)
    if not isinstance(parsed, datetime):
        raise ValueError(f"{value!r} is not a point in time")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


Uuid = Annotated[str, BeforeValidator(uuid)]
Label = Annotated[str, BeforeValidator(text(*LABEL_LENGTHS))]
ExternalId = Annotated[str, BeforeValidator(text(0, 255))]
Names = Annotated[frozenset[str], BeforeValidator(names)]
OptionalNames = Annotated[frozenset[str] | None, BeforeValidator(optional_names)]
PointInTime = Annotated[datetime | None, BeforeValidator(point_in_time)]
Concurrency = Annotated[int, BeforeValidator(whole_number(1, 256))]
