"""Settings that can be changed while the emulator runs."""

from __future__ import annotations

import threading
from typing import Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict

from airflow_provider_zelto.emulator.bodies import Seconds, Uuid


class Settings(BaseModel):
    """How the emulator behaves, as ``/_emulator/settings`` reads and writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    metrics_enabled: bool = True
    metric_ids: list[Uuid] | None = None
    any_conversation: bool = False
    latency: Seconds = 0.0
    nulls: Literal["null", "absent"] = "absent"
    repeat_page_token: bool = False


class SettingsArguments(TypedDict, total=False):
    """The settings as keyword arguments; each may be left out."""

    metrics_enabled: bool
    metric_ids: list[str] | None
    any_conversation: bool
    latency: float
    nulls: Literal["null", "absent"]
    repeat_page_token: bool


class LiveSettings:
    """The settings in force, and the way back to those of the start."""

    def __init__(self, start: Settings) -> None:
        self._lock = threading.Lock()
        self._start = start
        self.now = start

    def change(self, changes: dict[str, Any]) -> Settings:
        """Put these changes in force; pydantic's ValidationError leaves everything as it was."""
        with self._lock:
            self.now = Settings.model_validate({**self.now.model_dump(), **changes})
            return self.now

    def reset(self) -> None:
        """Go back to the settings of the start."""
        self.now = self._start
