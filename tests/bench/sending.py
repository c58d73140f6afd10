"""Sends rows to the loopback service in one way and prints what that took; a process for each measurement."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil

Row = dict[str, Any]
Way = Callable[[Any, int], None]

_CALLS = 1000
_MEGABYTE = 2**20


def rows(number: int) -> Iterator[Row]:
    """Make rows with a label of their own for each call, so that none has to wait for another."""
    for place in range(number):
        yield {
            "conversation_id": str(UUID(int=place % _CALLS + 1)),
            "label": f"Compliance Check {place // _CALLS}",
            "score": place % 101,
            "note": "The greeting came first, and the caller was asked for consent.",
        }


def operator() -> Way:
    """Send with BulkSubmitCustomerMetricsOperator, as a task does."""
    from airflow_provider_zelto.operators.zelto import BulkSubmitCustomerMetricsOperator

    def send(source: Any, connections: int) -> None:
        task = BulkSubmitCustomerMetricsOperator(task_id="bench", metrics=source, concurrency=connections)
        task.execute({})

    return send


def plain_operator() -> Way:
    """Send like :func:`operator`, as if the aiohttp extra was not installed."""
    sys.modules["httpx_aiohttp"] = None  # type: ignore[assignment]
    return operator()


def aiohttp_by_hand() -> Way:
    """Send with nothing but aiohttp: no validation, no repeating, no account of the rows."""
    import aiohttp

    url = json.loads(os.environ["AIRFLOW_CONN_ZELTO_DEFAULT"])["host"]

    def send(source: Any, connections: int) -> None:
        left = iter(source)

        async def work(session: aiohttp.ClientSession) -> None:
            for row in left:
                body = {name: value for name, value in row.items() if name != "conversation_id"}
                path = f"{url}/v1/conversations/{row['conversation_id']}/customer-metrics"
                async with session.post(path, json=body) as answer:
                    answer.raise_for_status()
                    await answer.json()

        async def main() -> None:
            connector = aiohttp.TCPConnector(limit=connections)
            async with aiohttp.ClientSession(
                connector=connector, headers={"Authorization": "Bearer key"}
            ) as session:
                await asyncio.gather(*(work(session) for _ in range(connections)))

        asyncio.run(main())

    return send


def http_hook() -> Way:
    """Send one row after the other with the HTTP provider's hook."""
    from airflow.providers.http.hooks.http import HttpHook

    def send(source: Any, connections: int) -> None:
        hook = HttpHook(method="POST", http_conn_id="zelto_over_http")
        for row in source:
            body = {name: value for name, value in row.items() if name != "conversation_id"}
            answer = hook.run(
                f"v1/conversations/{row['conversation_id']}/customer-metrics",
                json.dumps(body),
                {"Content-Type": "application/json", "Authorization": "Bearer key"},
            )
            answer.json()

    return send


# Each imports first what it needs: a task runner has Airflow and the DAG file imported before it runs a task.
_WAYS: dict[str, Callable[[], Way]] = {
    "operator": operator,
    "operator, plain": plain_operator,
    "aiohttp by hand": aiohttp_by_hand,
    "HttpHook": http_hook,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=_WAYS, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--file", type=Path, help="read the rows from this file instead of memory")
    options = parser.parse_args()
    send = _WAYS[options.way]()
    source = f"file://{options.file}" if options.file else list(rows(options.rows))
    before = psutil.Process().memory_info().rss
    wall, cpu = time.perf_counter(), time.process_time()
    send(source, options.connections)
    figures = {
        "seconds": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "rss": before / _MEGABYTE,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MEGABYTE,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
