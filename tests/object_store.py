"""An object store in memory that ObjectStoragePath reaches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fsspec.implementations.memory import MemoryFileSystem


@contextmanager
def memory_store() -> Iterator[MemoryFileSystem]:
    """Give the store behind ``memory://``, and empty it in the end."""
    try:
        from airflow.sdk.io import attach
    except ModuleNotFoundError:  # Airflow 2
        from airflow.io.store import attach

    yield attach("memory", fs=MemoryFileSystem()).fs
    MemoryFileSystem.store.clear()
