"""The sensor that every wait stands on: the same outcome in a worker's slot, rescheduled or deferred."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
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
from airflow.triggers.base import StartTriggerArgs

from airflow_provider_zelto.arguments import Arguments
from airflow_provider_zelto.conditions import (
    MAX_CONSECUTIVE_FAILURES,
    Condition,
    Failures,
    SourceCondition,
)
from airflow_provider_zelto.exceptions import (
    APIError,
    FieldError,
    InvalidConnectionError,
    InvalidMetricError,
    MissingValueError,
)
from airflow_provider_zelto.hooks.base import APIHook
from airflow_provider_zelto.sensors import refusals
from airflow_provider_zelto.triggers.base import PollTrigger, event_result

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

H = TypeVar("H", bound=APIHook)
C = TypeVar("C", bound=Condition)
S = TypeVar("S", bound=SourceCondition)

TRIGGER_TIMEOUT = "Trigger timeout"
_ENDS = (APIError, InvalidMetricError, InvalidConnectionError, MissingValueError, AirflowSensorTimeout)


class PollSensor(BaseSensorOperator, Generic[H]):
    """
    Base of the sensors that ask a service until what they wait for is there.

    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``.
    :param max_consecutive_failures: how many failures in a row end the wait. Default: 10.
    """

    ui_color = "#e3e9fb"
    hook_class: type[H]

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

    def make_hook(self) -> H:
        """Make the hook to ask with."""
        return self.hook_class.of(self)

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
        return self.accept(event_result(event))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral; soft_fail and timeouts mean the same there in every Airflow version."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            if (next_kwargs or {}).get("error") == TRIGGER_TIMEOUT:
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


class ConditionSensor(PollSensor[H], Generic[H, C]):
    """
    Base of the sensors that wait for one call, and can start and end in the triggerer.

    :param deferrable: wait in the triggerer. Default: ``[operators] default_deferrable``, and True with one
        of the next two.
    :param start_from_trigger: start in the triggerer, without a worker.
    :param end_from_trigger: end in the triggerer too once there is a result, XCom included. What fails or
        skips the task still goes to a worker.
    :param kwargs: the other arguments of :class:`PollSensor`.
    """

    condition_class: type[C]
    trigger_class: type[PollTrigger[H]]

    def __init__(
        self,
        *,
        deferrable: bool | None = None,
        start_from_trigger: bool = False,
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        in_triggerer = start_from_trigger or end_from_trigger
        super().__init__(deferrable=True if in_triggerer and deferrable is None else deferrable, **kwargs)
        self.end_from_trigger = end_from_trigger
        self._is_to_start_from_trigger = start_from_trigger

    @property
    def condition(self) -> C:
        """What is waited for."""
        return self.condition_class.check(self._arguments(self.condition_class))

    def make_trigger(self) -> PollTrigger[H]:
        """Make the trigger that waits for the same."""
        connection = self.hook_class.conn_name_attr
        return self.trigger_class(
            **self._arguments(self.condition_class),
            **{connection: getattr(self, connection)},
            **self.polling(),
        )

    def check_arguments(self) -> None:
        """Check what is known while the DAG is parsed; for the end of the constructor."""
        arguments = self._arguments(self.condition_class)
        self.condition_class.check_literals(arguments)
        if errors := list(self._refusals()):
            raise InvalidMetricError(errors)
        if self._is_to_start_from_trigger:
            classpath, trigger_kwargs = self.make_trigger().serialize()
            # Never Airflow's class attribute, which all tasks of a class would share.
            self.start_trigger_args = StartTriggerArgs(
                trigger_cls=classpath,
                trigger_kwargs=trigger_kwargs,
                next_method="execute_complete",
                timeout=timedelta(seconds=self.timeout),
            )
            self.start_from_trigger = True

    def _refusals(self) -> Iterator[FieldError]:
        starts = self._is_to_start_from_trigger
        for name, wanted in (("start_from_trigger", starts), ("end_from_trigger", self.end_from_trigger)):
            if wanted and not self.deferrable:
                yield FieldError(name, True, "possible with deferrable=False")
        if starts:
            yield from refusals.of_start(self)
        if self.end_from_trigger:
            hooks = {name: getattr(self, f"_{name}_hook", None) for name in ("pre_execute", "post_execute")}
            yield from refusals.of_end({**vars(self), **hooks}, started=starts)

    def prepare_template(self) -> None:
        """Refuse, now that the whole DAG is known, what only a worker does for tasks after this one."""
        if self.end_from_trigger and any(self.iter_mapped_dependants()):
            limit = (
                "possible for a task that others are mapped over: only a worker tells Airflow their number"
            )
            raise InvalidMetricError([FieldError("end_from_trigger", True, limit)])

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Begin to map the sensor, if Airflow can do with a mapped task what is asked for."""
        if errors := list(refusals.of_mapping(kwargs)):
            raise InvalidMetricError(errors)
        return super().partial(**kwargs)

    def polling(self) -> dict[str, Any]:
        """Give the arguments that every trigger of these has."""
        ending = (
            {"end_from_trigger": True, "do_xcom_push": self.do_xcom_push} if self.end_from_trigger else {}
        )
        return {**super().polling(), **ending}


class SourceSensor(ConditionSensor[H, S], Generic[H, S]):
    """Base of the sensors that wait for named metrics, each of which may turn out to have no value."""

    on_missing_value: str

    def accept(self, result: Any) -> Any:
        """Name the metrics in the log, and do with a missing value as ``on_missing_value`` says."""
        condition = self.condition
        if not (unwelcome := condition.unwelcome(result)):
            self.log.info(condition.summary(result))
            return result
        message = f"Computed without a value, or failed: {', '.join(unwelcome)}."
        if self.on_missing_value == "skip":
            raise AirflowSkipException(message)
        raise MissingValueError(message + " on_missing_value='succeed' takes them as they are.")
