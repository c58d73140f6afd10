"""What one side of the waits reports, and the figures that are printed of it."""

from __future__ import annotations

import math

from pydantic import BaseModel

from tests.bench.loop_watch import Stalls


class Phase(BaseModel):
    """
    What happened over a stretch of time.

    :ivar polls: requests that the server answered.
    :ivar cpu: CPU seconds of the process, all threads.
    """

    polls: int
    cpu: float
    stalls: Stalls

    @property
    def cpu_per_poll(self) -> float:
        """Milliseconds; NaN where nothing was polled."""
        return self.cpu * 1000 / self.polls if self.polls else math.nan

    @property
    def worst_stall(self) -> float:
        """Milliseconds."""
        return self.stalls.worst * 1000

    @property
    def worst_stall_besides_gc(self) -> float:
        """Milliseconds."""
        return self.stalls.worst_besides_gc * 1000


class Wait(BaseModel):
    """
    What a process full of waiting triggers did.

    :ivar start: from the creation of the triggers on, two poke intervals long.
    :ivar waiting: when all of them are waiting.
    :ivar memory: bytes of resident memory that came on top.
    :ivar log_lines: lines written to the triggerer's log.
    :ivar still_waiting: triggers that neither fired nor failed.
    """

    start: Phase
    waiting: Phase
    memory: int
    log_lines: int
    still_waiting: int
