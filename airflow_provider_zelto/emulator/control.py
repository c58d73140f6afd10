"""What a test can do to the emulator; the control API and the Python handle both end here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_zelto.emulator.auth import Keys
from airflow_provider_zelto.emulator.bodies import BadBodyError, Uuid, uuid_or_none
from airflow_provider_zelto.emulator.clock import iso
from airflow_provider_zelto.emulator.faults import Faults, FaultSpec, Seconds
from airflow_provider_zelto.emulator.journal import Journal
from airflow_provider_zelto.emulator.service_app import ServiceApp
from airflow_provider_zelto.emulator.settings import LiveSettings, Settings
from airflow_provider_zelto.emulator.state import State, UnknownCallError
from airflow_provider_zelto.emulator.zelto import MetricBody, Zelto

DEFAULT_KEY = "zelto-emulator-key"


class NewConversation(BaseModel):
    """A call to add."""

    model_config = ConfigDict(strict=True, extra="forbid")

    id: Uuid | None = None
    agent_id: Uuid | None = None
    available_after: Seconds = 0.0


class OthersMetric(MetricBody):
    """A customer metric that somebody else submits, at once or later."""

    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=True)

    source: str = Field(default="api", min_length=1)
    after: Seconds = 0.0


class Control:
    """The emulated services and what can be done to them. Every method may be called from any thread."""

    def __init__(self, keys: Iterable[str] = (DEFAULT_KEY,), start: Settings | None = None) -> None:
        accepted = Keys(keys)
        self.settings = LiveSettings(start or Settings())
        self.state = State(self.settings)
        self.faults = Faults()
        self.journal = Journal(accepted)
        # Zelto comes last: at the root it takes every path that no other service claims.
        self.apps = [
            ServiceApp(
                service,
                prefix,
                keys=accepted,
                journal=self.journal,
                faults=self.faults,
                settings=self.settings,
            )
            for prefix, service in [("", Zelto(self.state, self.settings))]
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

    def add_conversation(self, new: NewConversation) -> dict[str, Any]:
        """Add a call and return it."""
        return self.state.add_call(new.id, new.agent_id, new.available_after)

    def conversation(self, conversation_id: str) -> dict[str, Any]:
        """Return one call with its metrics."""
        for call in self.state.describe([_call_id(conversation_id)]):
            return call
        raise UnknownCallError(conversation_id)

    def metrics(self, conversation_id: str) -> list[dict[str, Any]]:
        """Return the metrics of one call as the API lists them."""
        return self.state.metrics(_call_id(conversation_id))

    def conversations(self) -> Iterator[dict[str, Any]]:
        """Yield every call with its metrics, oldest first."""
        return self.state.describe(self.state.call_ids())

    def add_metric(self, conversation_id: str, metric: OthersMetric) -> dict[str, Any]:
        """Let a metric appear; return when it does."""
        call_id = _call_id(conversation_id)
        due = self.state.submit_later(call_id, metric.submission(metric.source), metric.after)
        return {"conversation_id": call_id, "label": metric.label, "appears_at": iso(due)}

    def add_fault(self, fault: FaultSpec) -> dict[str, Any]:
        """Let a fault stand and return it with its id."""
        if fault.service not in (None, *self.service_names):
            raise BadBodyError(
                "There is no such service", {"service": f"One of {', '.join(self.service_names)}"}
            )
        return self.faults.add(fault)

    def reset(self) -> None:
        """Go back to the start: no calls, no faults, an empty journal, the first settings."""
        self.settings.reset()
        self.faults.clear()
        self.state.clear()
        self.journal.clear()


def _call_id(text: str) -> str:
    if (call_id := uuid_or_none(text)) is None:
        raise UnknownCallError(text)
    return call_id
