"""How late an event loop comes to a task that is due, and how much of that is garbage collection."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_TICK = 0.005  # seconds
_FULL_COLLECTION = 2


@dataclass
class Stalls:
    """
    What was noticed over a stretch of time.

    :ivar worst: the longest that the loop came late, seconds.
    :ivar worst_besides_gc: the same without the time that garbage collections took, which grows with all that
        a process has imported.
    :ivar full_collections: how often the whole heap was searched for garbage.
    """

    worst: float = 0.0
    worst_besides_gc: float = 0.0
    full_collections: int = 0


class LoopWatch:
    """
    Watches the event loop it runs in.

    :ivar stalls: what was noticed since it began.
    """

    def __init__(self) -> None:
        self.stalls = Stalls()
        self._collecting_since = 0.0
        self._collected = 0.0  # seconds spent on it so far

    async def begin_anew(self) -> None:
        """Forget what was noticed, and what is going on now."""
        await asyncio.sleep(2 * _TICK)
        self.stalls = Stalls()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for as long as the block lasts."""
        ticker = asyncio.get_running_loop().create_task(self._tick())
        gc.callbacks.append(self._on_collection)
        try:
            yield
        finally:
            gc.callbacks.remove(self._on_collection)
            ticker.cancel()

    async def _tick(self) -> None:
        while True:
            due, collected = time.monotonic() + _TICK, self._collected
            await asyncio.sleep(_TICK)
            late = time.monotonic() - due
            self.stalls.worst = max(self.stalls.worst, late)
            late -= self._collected - collected
            self.stalls.worst_besides_gc = max(self.stalls.worst_besides_gc, late)

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.monotonic()
        else:
            self._collected += time.monotonic() - self._collecting_since
            self.stalls.full_collections += info["generation"] == _FULL_COLLECTION
