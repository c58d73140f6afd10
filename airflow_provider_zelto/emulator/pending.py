"""Things that become visible later: a metric still being computed, a row about to change."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


class Pending(Generic[T]):
    """A queue of items, each with the moment it becomes visible."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, T]] = []
        # Items due at the same moment appear in the order they were added.
        self._order = count()

    def add(self, due: datetime, item: T) -> None:
        """Let the item appear at ``due``."""
        heapq.heappush(self._heap, (due, next(self._order), item))

    def take(self, now: datetime) -> Iterator[tuple[datetime, T]]:
        """Remove and yield what is due, earliest first, each with its moment."""
        while self._heap and self._heap[0][0] <= now:
            due, _, item = heapq.heappop(self._heap)
            yield due, item

    def upcoming(self) -> list[tuple[datetime, T]]:
        """Return what is still to come, earliest first."""
        return [(due, item) for due, _, item in sorted(self._heap, key=lambda entry: entry[:2])]

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
