"""Many rows from one task: rows a second, CPU and memory, beside aiohttp by hand and a loop over HttpHook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from tests.bench.processes import fresh_environment, measure
from tests.bench.report import print_table
from tests.bench.sending import rows
from tests.bench.server import serving

LATENCY = 0.05
_SPEED_TARGETS = {("operator", 64): 0.93, ("operator, plain", 32): 0.90, ("operator, plain", 64): 0.80}
_CPU_TARGET = 2.0
_GROWTH_TARGET = 40
_ROWS_WITH_HTTP_HOOK = 200


@dataclass(frozen=True)
class Load:
    """
    What is sent.

    :param seconds: how long each speed measurement takes at least.
    :param sizes: rows of each file of the memory measurement.
    """

    seconds: float = 15.0
    sizes: tuple[int, ...] = (1_000, 10_000, 200_000)


def run(load: Load) -> None:
    """Measure speed and memory, and print."""
    with fresh_environment() as environment:
        with serving(latency=LATENCY) as url:
            _speed(load, {**environment, **_connections(url)})
        with serving(latency=0) as url:
            _memory(load, {**environment, **_connections(url)})


def _connections(url: str) -> dict[str, str]:
    port = urlsplit(url).port
    return {
        "AIRFLOW_CONN_ZELTO_DEFAULT": json.dumps({"conn_type": "zelto", "host": url, "password": "key"}),
        "AIRFLOW_CONN_ZELTO_OVER_HTTP": json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": port}),
    }


def _speed(load: Load, environment: Mapping[str, str]) -> None:
    lines = []
    for connections in (16, 32, 64):
        limit = connections / LATENCY
        number = int(load.seconds * limit)
        by_hand = _send("aiohttp by hand", number, connections, environment)
        for way, taken in (
            ("operator", _send("operator", number, connections, environment)),
            ("operator, plain", _send("operator, plain", number, connections, environment)),
            ("aiohttp by hand", by_hand),
        ):
            target = _SPEED_TARGETS.get((way, connections))
            lines.append(
                (
                    way,
                    str(connections),
                    f"{number / taken['seconds']:.0f}",
                    f"{number / taken['seconds'] / limit:.2f}",
                    f"≥ {target:.2f}" if target else "",
                    f"{taken['cpu'] / number * 1e6:.0f}",
                    f"{taken['cpu'] / by_hand['cpu']:.2f}",
                    f"≤ {_CPU_TARGET:.2f}" if (way, connections) == ("operator", 64) else "",
                )
            )
    number = _ROWS_WITH_HTTP_HOOK
    taken = _send("HttpHook", number, 1, environment)
    per_second, cpu = number / taken["seconds"], taken["cpu"] / number * 1e6
    lines.append(
        (
            "HttpHook in a loop",
            "1",
            f"{per_second:.0f}",
            f"{per_second * LATENCY:.2f}",
            "",
            f"{cpu:.0f}",
            "",
            "",
        )
    )
    columns = (
        "",
        "connections",
        "rows/s",
        "of the limit",
        "target",
        "CPU a row, µs",
        "of aiohttp's",
        "target",
    )
    print_table(
        f"As many rows as take {load.seconds:.0f} s at the limit (connections ÷ latency), a service that "
        f"answers after {LATENCY * 1000:.0f} ms (plain: without the aiohttp extra)",
        columns,
        lines,
    )


def _memory(load: Load, environment: Mapping[str, str]) -> None:
    lines = []
    peaks: dict[int, float] = {}
    for size in load.sizes:
        taken = _send_file(size, environment)
        peaks[size] = taken["peak"]
        per_second = size / taken["seconds"]
        lines.append(
            (
                f"{size}",
                f"{per_second:.0f}",
                f"{taken['peak']:.0f}",
                f"{taken['peak'] - taken['rss']:.0f}",
                f"{per_second / taken['peak']:.1f}",
                f"{size / taken['cpu']:.0f}",
            )
        )
    columns = (
        "rows in the file",
        "rows/s",
        "peak, MB",
        "of it for sending, MB",
        "rows/s a MB",
        "rows a CPU second",
    )
    print_table("A JSON Lines file, 32 connections, a service that answers at once", columns, lines)
    small, large = load.sizes[-2:]
    growth = peaks[large] - peaks[small]
    print(
        f"\nFrom {small} to {large} rows the peak grows by {growth:.1f} MB (target: < {_GROWTH_TARGET} MB)."
    )


def _send(way: str, number: int, connections: int, environment: Mapping[str, str], *more: str) -> Any:
    arguments = [f"--way={way}", f"--rows={number}", f"--connections={connections}", *more]
    return measure(["-m", "tests.bench.sending", *arguments], environment)


def _send_file(size: int, environment: Mapping[str, str]) -> Any:
    with TemporaryDirectory(prefix="zelto-bench-") as folder:
        file = Path(folder) / "rows.jsonl"
        with file.open("w") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in rows(size))
        return _send("operator", size, 32, environment, f"--file={file}")
