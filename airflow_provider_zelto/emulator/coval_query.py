"""What a client asks of Coval's list: which rows, in what order, and which page of them."""

from __future__ import annotations

import json
import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterable
from operator import attrgetter
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from airflow_provider_zelto.emulator.coval_outputs import Row

_FILTER_FIELDS = ("metric_name", "output_type", "status")
_ORDER_FIELDS = ("metric_name", "create_time", "start_time", "end_time", "value")
_COMPARISON = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s"]+))')
_AND = re.compile(r" +AND +")


def _read_filter(text: str) -> list[tuple[str, str]]:
    """Return the fields and the values they must have."""
    comparisons = []
    position = 0
    while True:
        comparison = _COMPARISON.match(text, position)
        if comparison is None:
            raise ValueError(
                f"Expected field=value at character {position + 1}, a value with spaces in quotes"
            )
        name, quoted, plain = comparison.groups()
        if name not in _FILTER_FIELDS:
            raise ValueError(f"There is no field {name} to filter by, only {', '.join(_FILTER_FIELDS)}")
        comparisons.append((name, plain if quoted is None else quoted))
        if comparison.end() == len(text):
            return comparisons
        joint = _AND.match(text, comparison.end())
        if joint is None:
            raise ValueError(f"Expected AND at character {comparison.end() + 1}")
        position = joint.end()


def _read_order(text: str) -> str:
    if text.removeprefix("-") not in _ORDER_FIELDS:
        raise ValueError(f"Must be one of {', '.join(_ORDER_FIELDS)}, with - in front for descending order")
    return text


def _read_page_size(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= 1000:
        raise ValueError("Must be a whole number from 1 to 1000")
    return int(text)


class _Token(BaseModel):
    """What a page token holds, for nobody but this service to read."""

    model_config = ConfigDict(strict=True, extra="forbid")

    offset: int = Field(ge=1)


def write_token(offset: int) -> str:
    """Return the token of the page that starts after so many rows."""
    return urlsafe_b64encode(json.dumps({"offset": offset}).encode()).decode()


def _read_token(text: str) -> int:
    try:
        return _Token.model_validate_json(b64decode(text, altchars=b"-_", validate=True)).offset
    except ValueError:
        raise ValueError("Must be the next_page_token of an answer before") from None


class MetricsQuery(BaseModel):
    """The query of ``GET …/metrics``; other parameters are ignored."""

    model_config = ConfigDict(extra="ignore")

    filter: Annotated[list[tuple[str, str]], BeforeValidator(_read_filter)] = []
    order_by: Annotated[str, BeforeValidator(_read_order)] = "metric_name"
    page_size: Annotated[int, BeforeValidator(_read_page_size)] = 50
    offset: Annotated[int, BeforeValidator(_read_token)] = Field(default=0, alias="page_token")

    def page(self, rows: Iterable[Row]) -> tuple[list[Row], str | None]:
        """Return the page asked for, and the token of the next one if there is one."""
        wanted = [row for row in rows if all(getattr(row, name) == value for name, value in self.filter)]
        rest = self._in_order(wanted)[self.offset :]
        more = len(rest) > self.page_size
        return rest[: self.page_size], write_token(self.offset + self.page_size) if more else None

    def _in_order(self, rows: list[Row]) -> list[Row]:
        """Return the rows sorted; those that have nothing to be sorted by come last in either direction."""
        name = self.order_by.removeprefix("-")
        by_id = sorted(rows, key=attrgetter("metric_output_id"))
        keys: list[tuple[Any, Row]] = [(_key(row, name), row) for row in by_id]
        known = [pair for pair in keys if pair[0] is not None]
        known.sort(key=lambda pair: pair[0], reverse=self.order_by.startswith("-"))
        return [row for _, row in known] + [row for key, row in keys if key is None]


def _key(row: Row, name: str) -> Any:
    value = getattr(row, name)
    return None if name == "value" and not isinstance(value, (int, float)) else value
