"""The time, as the emulator keeps it and as it writes it down."""

from __future__ import annotations

from datetime import UTC, datetime


def utcnow() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """Return a UTC moment with all its microseconds, as the vendors write one."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
