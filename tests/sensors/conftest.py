from __future__ import annotations

import pytest


@pytest.fixture
def impatient(emulator, connect):
    """A connection that repeats no request, so that what is counted are the sensor's questions."""

    def set_connection(**extra):
        connect(emulator.url, extra={"max_retries": 0, **extra})

    set_connection()
    return set_connection
