"""Time that passes at once, for what waits in an event loop and for nothing else."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Leap(selectors.DefaultSelector):
    """Skips the time in which nothing happens."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout else timeout)
        if timeout and not ready:
            self.now += timeout
        return ready


class SwiftLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, on which sleeping takes no time."""

    def __init__(self) -> None:
        self._leap = Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        return self._leap.now


def swiftly(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that sleeps a lot."""
    with asyncio.Runner(loop_factory=SwiftLoop) as runner:
        return runner.run(coroutine)


def now() -> float:
    """Give the time on the clock of the running loop."""
    return asyncio.get_running_loop().time()
