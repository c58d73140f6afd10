"""A local Zelto, Roark and Coval to run DAGs against: a command and a handle for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_zelto.emulator.handle import Emulator

__all__ = ["Emulator"]


def explain_missing(error: ModuleNotFoundError) -> str:
    """Return which package is missing and how to get it."""
    return f"The emulator needs {error.name}: pip install 'airflow-provider-zelto[emulator]'"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from airflow_provider_zelto.emulator.handle import Emulator
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(explain_missing(error), name=error.name) from error
    return Emulator
