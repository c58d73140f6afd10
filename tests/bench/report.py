"""What a benchmark prints: where it ran, and tables that a terminal and a Markdown page both show well."""

from __future__ import annotations

import math
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

_PACKAGES = ("apache-airflow", "apache-airflow-providers-http", "httpx", "httpx-aiohttp", "aiohttp")
_console = Console(width=200, highlight=False, markup=False, emoji=False)


@dataclass(frozen=True)
class Measured:
    """
    One figure of all sides of a comparison.

    :ivar values: as measured; the last is the peer's.
    :ivar form: how to print a value, as in ``format``.
    :ivar target: the highest ratio to the peer that is aimed at, or None.
    """

    name: str
    values: Sequence[float]
    form: str
    target: float | None = None


def print_machine() -> None:
    """Say what the figures below were measured on, and with which command."""
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    print(f"- Command: `{shlex.join(['python', '-m', 'tests.bench', *sys.argv[1:]])}`")
    print(f"- Machine: {_cores()} cores of {_cpu_model()}, {memory:.0f} GB, {platform.system()}")
    print(f"- Load when it began: {os.getloadavg()[0]:.1f}")
    print(f"- Python {platform.python_version()}, {packages}")


def print_comparison(title: str, sides: Sequence[str], figures: Iterable[Measured]) -> None:
    """Print the figures of all sides, and the share that each of ours is of the last, the peer's."""
    ours = sides[:-1]
    ratios = ["ratio", *(f"ratio, {side}" for side in ours[1:])]
    print_table(title, ("", *sides, *ratios, "target"), map(_row, figures))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: a first column of names, then figures."""
    table = Table(*columns[:1], box=MARKDOWN)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    with _console.capture() as printed:
        _console.print(table)
    print(f"\n### {title}\n\n{printed.get().strip()}", flush=True)


def _row(figure: Measured) -> tuple[str, ...]:
    *ours, theirs = figure.values
    return (
        figure.name,
        *(_text(value, figure.form) for value in figure.values),
        *(_text(value / theirs if theirs else math.nan, ".2f") for value in ours),
        "" if figure.target is None else f"≤ {figure.target:.2f}",
    )


def _text(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def _cores() -> int:
    # A container may allow fewer than the machine has.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
