"""The sensor that every wait stands on: the same outcome in a worker's slot, rescheduled or deferred."""

from __future__ import annotations

import time
from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_zelto.arguments import Arguments
from airflow_provider_zelto.conditions import (
    MAX_CONSECUTIVE_FAILURES,
    ChatMetricsCondition,
    ConversationMetricsCondition,
    Failures,
)
from airflow_provider_zelto.exceptions import (
    APIError,
    InvalidConnectionError,
    InvalidMetricError,
    MissingValueError,
    error_from_json,
)
from airflow_provider_zelto.hooks.base import APIHook

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_zelto.triggers.base import PollTrigger

H = TypeVar("H", bound=APIHook)

_TRIGGER_TIMEOUT = "Trigger timeout"
_ENDS = (APIError, InvalidMetricError, InvalidConnectionError, MissingValueError, AirflowSensorTimeout)


class PollSensor(BaseSensorOperator, Generic[H]):
    """
    Base of the sensors that ask a service until what they wait for is there.

    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``.
    :param max_consecutive_failures: how many failures in a row end the wait. Default: 10.
    """

    ui_color = "#e3e9fb"

    def __init__(
        self,
        *,
        deferrable: bool | None = None,
        max_consecutive_failures: int = MAX_CONSECUTIVE_FAILURES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = deferrable
        self.max_consecutive_failures = max_consecutive_failures
        self._give_up_at = float("inf")

    @abstractmethod
    def make_hook(self) -> H:
        """Make the hook to ask with."""

    @abstractmethod
    def make_trigger(self) -> PollTrigger[H]:
        """Make the trigger that goes on waiting in the triggerer."""

    @abstractmethod
    def ask(self, hook: H) -> Any:
        """Ask once; give what ends the wait, or None to go on waiting."""

    @abstractmethod
    def accept(self, result: Any) -> Any:
        """Say in the log what was found, and give what goes into XCom; or raise what the finding means."""

    @cached_property
    def _hook(self) -> H:
        return self.make_hook()

    def execute(self, context: Context) -> Any:
        """Wait, in the mode the task was given, and return what was found."""
        self._give_up_at = time.monotonic() + self.timeout - self._seconds_waited(context)
        try:
            with self._hook:
                if not self.deferrable:
                    return super().execute(context)
                result = self._ask_once()
                if result is not None:
                    return self.accept(result)
        except _ENDS as error:
            self._fail(error)
        self.defer(
            trigger=self.make_trigger(),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def poke(self, context: Context) -> PokeReturnValue:
        """
        Ask until there is an answer: a run of failures is counted in one process, or it could not be bounded.

        A rescheduled sensor therefore keeps its slot while the service fails.
        """
        failures = self._failures()
        while True:
            try:
                result = self.ask(self._hook)
            except APIError as error:
                pause = failures.pause_after(error)
                if pause is None:
                    raise
                self.log.warning("%s Asking again in %.1f s.", error, pause)
                if not failures.in_a_row or time.monotonic() + pause > self._give_up_at:
                    return PokeReturnValue(False)
                time.sleep(pause)
            else:
                if result is None:
                    return PokeReturnValue(False)
                return PokeReturnValue(True, self.accept(result))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Return what the trigger found, or raise the error it met."""
        if "error" in event:
            raise error_from_json(event["error"])
        return self.accept(event["result"])

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral; soft_fail and timeouts mean the same there in every Airflow version."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            if (next_kwargs or {}).get("error") == _TRIGGER_TIMEOUT:
                # Airflow 2 raises what it raises for a broken trigger, which would be retried.
                self._fail(AirflowSensorTimeout(f"Nothing to be found within {self.timeout:g} s."))
            self._fail(error)

    def polling(self) -> dict[str, Any]:
        """Give the arguments that every trigger has."""
        return {
            "poke_interval": self.poke_interval,
            "max_consecutive_failures": self.max_consecutive_failures,
        }

    def _arguments(self, condition: type[Arguments]) -> dict[str, Any]:
        return {name: getattr(self, name) for name in condition.model_fields}

    def _ask_once(self) -> Any:
        try:
            return self.ask(self._hook)
        except APIError as error:
            if self._failures().pause_after(error) is None:
                raise
            self.log.warning("%s The triggerer goes on asking.", error)
            return None

    def _failures(self) -> Failures:
        return Failures(limit=self.max_consecutive_failures, poke_interval=self.poke_interval)

    def _fail(self, error: Exception) -> NoReturn:
        # Airflow applies these two to every error of a deferred sensor, but only to some of a poking one.
        if self.soft_fail or self.never_fail:
            raise AirflowSkipException(f"Skipped instead of failed: {error}") from error
        raise error

    def _seconds_waited(self, context: Context) -> float:
        """Give how long a rescheduled sensor has been waiting; Airflow 2 does not tell its tasks."""
        if not self.reschedule or not hasattr(context["ti"], "get_first_reschedule_date"):
            return 0
        first = context["ti"].get_first_reschedule_date(context)
        return (datetime.now(UTC) - first).total_seconds() if first else 0


class SourceSensor(PollSensor[H]):
    """Base of the sensors that wait for named metrics, each of which may turn out to have no value."""

    on_missing_value: str

    @property
    @abstractmethod
    def condition(self) -> ChatMetricsCondition | ConversationMetricsCondition:
        """What is waited for."""

    def accept(self, result: Any) -> Any:
        """Name the metrics in the log, and do with a missing value as ``on_missing_value`` says."""
        states = self.condition.states(result)
        missing = [name for name, has_value in states.items() if has_value is False]
        if not missing or self.on_missing_value == "succeed":
            self.log.info("Computed: %s; without a value: %s.", list(states), missing or "none")
            return result
        message = f"Computed without a value, or failed: {', '.join(missing)}."
        if self.on_missing_value == "skip":
            raise AirflowSkipException(message)
        raise MissingValueError(message + " on_missing_value='succeed' takes them as they are.")
