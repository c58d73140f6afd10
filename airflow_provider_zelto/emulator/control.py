"""What a test can do to the emulator; the control API and the Python handle both end here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_provider_zelto.emulator.auth import Keys
from airflow_provider_zelto.emulator.bodies import InvalidInputError
from airflow_provider_zelto.emulator.coval import Coval
from airflow_provider_zelto.emulator.coval_state import CovalState
from airflow_provider_zelto.emulator.faults import Faults, FaultSpec
from airflow_provider_zelto.emulator.journal import Journal
from airflow_provider_zelto.emulator.roark import Roark
from airflow_provider_zelto.emulator.roark_state import RoarkState
from airflow_provider_zelto.emulator.service import Service
from airflow_provider_zelto.emulator.service_app import ServiceApp
from airflow_provider_zelto.emulator.settings import LiveSettings, Settings
from airflow_provider_zelto.emulator.zelto import Zelto
from airflow_provider_zelto.emulator.zelto_state import ZeltoState

DEFAULT_KEY = "zelto-emulator-key"


class Control:
    """The emulated services and what can be done to them. Every method may be called from any thread."""

    def __init__(self, keys: Iterable[str] = (DEFAULT_KEY,), start: Settings | None = None) -> None:
        accepted = Keys(keys)
        self.settings = LiveSettings(start or Settings())
        self.zelto = ZeltoState(self.settings)
        self.roark = RoarkState(self.settings)
        self.coval = CovalState(self.settings)
        self.faults = Faults()
        self.journal = Journal(accepted)
        mounted: list[tuple[str, Service]] = [
            ("", Zelto(self.zelto, self.settings)),
            ("/roark", Roark(self.roark)),
            ("/coval", Coval(self.coval, self.settings)),
        ]
        self.apps = [
            ServiceApp(
                service,
                prefix,
                keys=accepted,
                journal=self.journal,
                faults=self.faults,
                settings=self.settings,
            )
            for prefix, service in mounted
        ]

    @property
    def service_names(self) -> list[str]:
        """Return the names of the emulated services."""
        return [app.service_name for app in self.apps]

    def prefix(self, service: str) -> str:
        """Return the path below which a service is mounted."""
        for app in self.apps:
            if app.service_name == service:
                return app.prefix
        raise ValueError(f"There is no service {service!r}, only {', '.join(self.service_names)}")

    def add_fault(self, fault: FaultSpec) -> dict[str, Any]:
        """Let a fault stand and return it with its id."""
        if fault.service not in (None, *self.service_names):
            raise InvalidInputError(
                {"service": f"One of {', '.join(self.service_names)}"}, "There is no such service"
            )
        return self.faults.add(fault)

    def reset(self) -> None:
        """Go back to the start: no calls, no faults, an empty journal, the first settings."""
        self.settings.reset()
        self.faults.clear()
        for state in (self.zelto, self.roark, self.coval):
            state.clear()
        self.journal.clear()
