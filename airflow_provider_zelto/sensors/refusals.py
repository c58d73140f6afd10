"""What stands in the way of a task that starts or ends in the triggerer, told while the DAG is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version

from airflow_provider_zelto.arguments import is_templated
from airflow_provider_zelto.exceptions import FieldError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

_LISTS = frozenset({"labels", "metric_ids", "slugs"})

# The triggerer of Airflow 3.3 never answers what it does not know how to ask, and the task hangs.
_ASKS_A_WORKER = re.compile(r"\b(prev_\w+|inlet_events|task_state_store|asset_state_store)\b")

# Airflow applies these in a worker only. A success callback it did request of others once, in Airflow 2.
_LOST = {
    "outlets": "asset events",
    "post_execute": "post_execute",
    "on_success_callback": "success callbacks",
}
_LOST_FROM_THE_START = {"pre_execute": "pre_execute", "on_execute_callback": "execute callbacks"}


def airflow_minor() -> tuple[int, int]:
    """Give the version of the Airflow that runs, e.g. ``(3, 3)``."""
    major, minor = airflow_version.split(".")[:2]
    return int(major), int(minor)


def of_start(task: BaseOperator) -> Iterator[FieldError]:
    """Say why a task cannot start in the triggerer, with all its templates."""
    version = airflow_minor()
    if version in ((3, 1), (3, 2)):
        yield FieldError(
            "start_from_trigger",
            True,
            f"possible on Airflow {airflow_version}, which starts every task in a worker (2.11, 3.0, and 3.3 "
            "and newer do not); deferrable=True is",
        )
        return
    for name in task.template_fields:
        if not is_templated(value := getattr(task, name)):
            continue
        if version < (3, 3):
            limit = (
                f"allowed with start_from_trigger=True on Airflow {airflow_version}, which renders templates "
                "in a worker only (3.3 and newer do in the triggerer)"
            )
            yield FieldError(name, value, limit)
        else:
            yield from (FieldError(name, value, limit) for limit in _limits_in_triggerer(name, value))


def _limits_in_triggerer(name: str, value: Any) -> Iterator[str]:
    """Say what a triggerer that renders templates cannot make of this one."""
    with_it = f"with start_from_trigger=True on Airflow {airflow_version}"
    if isinstance(value, list | tuple | set | frozenset):
        for element in filter(is_templated, value):
            yield from _limits_in_triggerer("", element)
    elif not isinstance(value, str):
        pull = "{{ ti.xcom_pull(task_ids='…', map_indexes=-1) }}"
        yield f"allowed {with_it}: an XCom has to be a template, e.g. {pull}"
    elif name in _LISTS:
        yield f"a list {with_it}: a template renders to text there, so that only what is in a list may be one"
    elif "xcom_pull" in value and "map_indexes" not in value:
        yield f"allowed {with_it}: there xcom_pull needs map_indexes, -1 for a task that is not mapped"
    elif unknown := _ASKS_A_WORKER.search(value):
        yield f"allowed {with_it}: {unknown[0]} is known in a worker only"


def of_end(wanted: Mapping[str, Any], *, started: bool) -> Iterator[FieldError]:
    """
    Say why a task cannot end in the triggerer.

    :param wanted: what the task asks of Airflow, by the names of an operator's arguments.
    :param started: whether it starts there too.
    """
    lost = {**_LOST, **(_LOST_FROM_THE_START if started else {})}
    if airflow_minor() < (3, 0):
        del lost["on_success_callback"]
    for name, what in lost.items():
        if wanted.get(name):
            limit = (
                f"possible for a task with {name}: Airflow {airflow_version} sees to {what} in a worker only"
            )
            yield FieldError("end_from_trigger", True, limit)


def of_mapping(arguments: Mapping[str, Any]) -> Iterator[FieldError]:
    """Say why a task cannot be mapped with these arguments."""
    if arguments.get("start_from_trigger"):
        limit = "possible for a mapped task, which Airflow starts in a worker; deferrable=True is"
        yield FieldError("start_from_trigger", True, limit)
    if arguments.get("end_from_trigger"):
        yield from of_end(arguments, started=False)
