"""Many calls as an argument: a list of their UUIDs, or a file of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from airflow_provider_zelto.arguments import is_list, refuse, uuid
from airflow_provider_zelto.exceptions import FieldError, InvalidMetricError
from airflow_provider_zelto.rows import lines_of_file

CALLS_NAMED = 20
_A_LIST = "a list of calls' UUIDs, or the URI of a text file with one a line"
_NATIVE = " (a template needs render_template_as_native_obj=True for a list)"

Calls = tuple[str, ...] | str


def call_ids(minimum: int) -> Callable[[Any], Calls]:
    """Make a validator of many calls: their UUIDs, each once, or the URI of a file that is left unread."""

    def check(value: Any) -> Calls:
        if not isinstance(value, str):
            return _unique(value, minimum)
        if not value or value.lstrip().startswith(("[", "(")) or _is_uuid(value):
            refuse(_A_LIST + _NATIVE)
        return value

    return check


def read_calls(calls: Calls, *, minimum: int = 0, field: str = "conversation_ids") -> tuple[str, ...]:
    """
    Give the calls; read them when it is a file.

    :raises InvalidMetricError: when a line of the file is no UUID, or there are too few.
    """
    if not isinstance(calls, str):
        return calls
    problem, found = _normalised(lines_of_file(calls))
    if problem or len(found) < minimum:
        limit = problem or f"a file of at least {minimum} call"
        raise InvalidMetricError([FieldError(field, calls, limit)])
    return found


def _unique(value: Any, minimum: int) -> tuple[str, ...]:
    problem, found = _normalised(value) if is_list(value) else refuse(_A_LIST)
    if problem:
        refuse(problem)
    return found if len(found) >= minimum else refuse(f"a list of at least {minimum} call")


def _normalised(given: Iterable[Any]) -> tuple[str, tuple[str, ...]]:
    """Give what is wrong with the ids, if anything, and each id once."""
    found: dict[str, None] = {}
    bad: list[str] = []
    for place, value in enumerate(given, start=1):
        try:
            found[uuid(value)] = None
        except ValueError:
            bad.append(f"{value!r:.60} (number {place})")
    problem = f"right: {len(bad)} of the ids are no UUIDs: {', '.join(bad[:5])}" if bad else ""
    return problem, tuple(found)


def _is_uuid(value: str) -> bool:
    try:
        return bool(uuid(value))
    except ValueError:
        return False


def named(calls: Iterable[str], count: int) -> str:
    """Name some of the calls, and say how many more there are."""
    shown = list(islice(calls, CALLS_NAMED))
    more = f" and {count - len(shown)} more" if count > len(shown) else ""
    return ", ".join(shown) + more
