"""Event loops: one in a thread of its own, blocking reads beside one, and an end to what runs in one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from threading import Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")

SECONDS_BETWEEN_REPORTS = 5.0  # while the main thread waits for another


async def read_ahead(open_rows: Callable[[], Iterable[T]], size: int = 500) -> AsyncGenerator[list[T], None]:
    """
    Read an iterable that may block (a file, a cursor) in a thread, a chunk ahead of its user.

    One thread does it all, because database drivers mind who uses a cursor.
    """
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1) as thread:
        rows = await loop.run_in_executor(thread, lambda: iter(open_rows()))

        def next_chunk() -> list[T]:
            return list(islice(rows, size))

        upcoming = loop.run_in_executor(thread, next_chunk)
        try:
            while chunk := await upcoming:
                upcoming = loop.run_in_executor(thread, next_chunk)
                yield chunk
        finally:
            # A user who has gone away does not want to know what went wrong ahead of them.
            await asyncio.gather(upcoming, return_exceptions=True)
            if close := getattr(rows, "close", None):
                await loop.run_in_executor(thread, close)


class LoopThread(Generic[T]):
    """
    Runs a coroutine in a thread with an event loop of its own.

    The main thread stays free for Airflow: signals raise there (inside a busy event loop such an exception
    can get lost in a callback), and calls to the supervisor block nothing.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._result: Future[T] = Future()
        self._thread = Thread(target=self._run, args=(coroutine,), daemon=True)
        self._thread.start()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> None:
        try:
            self._result.set_result(asyncio.run(coroutine))
        except BaseException as error:
            self._result.set_exception(error)

    def wait(self, seconds: float) -> bool:
        """Wait for the end; tell whether it came."""
        return bool(wait([self._result], seconds).done)

    def result(self) -> T:
        """Give the coroutine's result, or raise what it raised."""
        return self._result.result()


async def cancelled(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Cancel tasks that are not done, and wait until none goes on; what went wrong in them is forgotten."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
