"""Sensors for Zelto."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

from airflow_provider_zelto.api_client import AsyncAPIClient
from airflow_provider_zelto.api_request import ClientSettings
from airflow_provider_zelto.arguments import DEFAULT_CONCURRENCY, is_templated
from airflow_provider_zelto.calls import read_calls
from airflow_provider_zelto.checkpoint import StateStore
from airflow_provider_zelto.conditions import MetricsCondition
from airflow_provider_zelto.coverage import Coverage, CoverageCondition, CoverageSummary
from airflow_provider_zelto.event_loops import SECONDS_BETWEEN_REPORTS, LoopThread
from airflow_provider_zelto.exceptions import APIError, FieldError, InvalidMetricError
from airflow_provider_zelto.hooks.zelto import ZeltoHook, list_request
from airflow_provider_zelto.links import CallLink
from airflow_provider_zelto.models import CustomerMetric
from airflow_provider_zelto.sensors.base import TRIGGER_TIMEOUT, ConditionSensor, PollSensor
from airflow_provider_zelto.triggers.zelto import CustomerMetricsCoverageTrigger, CustomerMetricsTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

CALLS_IN_TRIGGER = 1000
_STATE_KEY = "zelto_coverage"


class CustomerMetricsSensor(ConditionSensor[ZeltoHook, MetricsCondition]):
    """
    Wait until a call's metrics are in Zelto.

    It is over when all ``labels`` are there, or ``min_count`` metrics when no labels are given. A call that
    Zelto does not know yet and passing failures keep it waiting; ``max_consecutive_failures`` in a row, a
    refused key or a refused request end it. Poking, rescheduled and deferred waits behave alike, ``timeout``
    (seconds) and ``soft_fail`` included. API page: "List a call's customer metrics".

    :param conversation_id: UUID of the call (templated).
    :param labels: list of labels that must all be there (templated). Default: any.
    :param min_count: how many metrics must be there. Default: 1.
    :param updated_after: only metrics whose ``updatedAt`` is this time or later count (templated): an aware
        datetime or ISO 8601 text, UTC where it has no offset. Submitting replaces a metric, so without it the
        metric of an earlier run ends the wait. Default: every metric counts.
    :param zelto_conn_id: id of the connection (templated). Default: ``zelto_default``.
    :param deferrable: wait in the triggerer, without a worker slot.
        Default: ``[operators] default_deferrable``.
    :param start_from_trigger: start in the triggerer, without a worker process, where this Airflow can.
        Default: False.
    :param end_from_trigger: end in the triggerer, XCom included; what fails or skips the task still goes to a
        worker. With both of these a wait that succeeds takes no worker process at all. Default: False.
    :param max_consecutive_failures: how many failures in a row end the wait. Default: 10.
    :return: XCom: list of the matching metrics as Zelto stores them, sorted by label.
    :raises InvalidMetricError: when an argument breaks a limit; the task is not retried.
    :raises AirflowSensorTimeout: after ``timeout`` seconds; the task is not retried.
    :raises APIError: when asking again is no use, with the last cause.
    """

    template_fields: Sequence[str] = ("conversation_id", "labels", "updated_after", "zelto_conn_id")
    hook_class = ZeltoHook
    condition_class = MetricsCondition
    trigger_class = CustomerMetricsTrigger
    operator_extra_links = (CallLink(),)

    def __init__(
        self,
        *,
        conversation_id: str,
        labels: Sequence[str] | None = None,
        min_count: int = 1,
        updated_after: datetime | str | None = None,
        zelto_conn_id: str = ZeltoHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conversation_id = conversation_id
        self.labels = labels
        self.min_count = min_count
        self.updated_after = updated_after
        self.zelto_conn_id = zelto_conn_id
        self.check_arguments()

    def ask(self, hook: ZeltoHook) -> list[CustomerMetric] | None:
        """Ask once; give the matching metrics when they are all there."""
        condition = self.condition
        return condition.met_by(hook.list_customer_metrics(condition.conversation_id))

    def accept(self, result: list[CustomerMetric]) -> list[CustomerMetric]:
        """Name the labels found in the log."""
        self.log.info(self.condition.summary(result))
        return result


class CustomerMetricsCoverageSensor(PollSensor[ZeltoHook]):
    """
    Wait until many calls have their metrics in Zelto: one task, and one trigger, for thousands of calls.

    Each round asks for the calls that are still missing, many at a time. A call that Zelto does not know yet
    is missing still, and so is one whose request fails; ``max_consecutive_failures`` rounds in a row without
    any answer, a refused key or a refused request end the wait. Poking, rescheduled and deferred waits behave
    alike, ``timeout`` (seconds) and ``soft_fail`` included, but before Airflow 3.3 a rescheduled one begins
    each round with all calls. API page: "List a call's customer metrics".

    :param conversation_ids: list of the calls' UUIDs, at least one and at most 1000 for a deferrable sensor,
        or the URI of a text file with one a line, anywhere ObjectStoragePath reaches, from the triggerer too
        (templated).
    :param labels: list of labels that a call must all have (templated). Default: any metric.
    :param min_coverage: share of the calls that must have them, above 0, at most 1 (templated). Default: 1.0.
    :param updated_after: only metrics whose ``updatedAt`` is this time or later count (templated): an aware
        datetime or ISO 8601 text, UTC where it has no offset. Default: every metric counts.
    :param concurrency: how many calls are asked for at once, 1–256. In the triggerer all waits on one
        connection share 20 connections. Default: 16.
    :param zelto_conn_id: id of the connection (templated). Default: ``zelto_default``.
    :param deferrable: wait in the triggerer, without a worker slot.
        Default: ``[operators] default_deferrable``.
    :param max_consecutive_failures: how many rounds in a row without any answer end the wait. Default: 10.
    :return: XCom: ``calls``, ``covered`` (how many have what was waited for), ``missing`` (ids of at most 20
        of the others) and ``seconds``.
    :raises InvalidMetricError: when an argument breaks a limit; the task is not retried.
    :raises AirflowSensorTimeout: after ``timeout`` seconds, saying how many calls are missing, and naming at
        most 20; the task is not retried. A deferred wait asks once more for that.
    :raises APIError: when asking again is no use, with the last cause.
    """

    template_fields: Sequence[str] = (
        "conversation_ids",
        "labels",
        "min_coverage",
        "updated_after",
        "zelto_conn_id",
    )
    hook_class = ZeltoHook

    def __init__(
        self,
        *,
        conversation_ids: Collection[str] | str,
        labels: Sequence[str] | None = None,
        min_coverage: float | str = 1.0,
        updated_after: datetime | str | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        zelto_conn_id: str = ZeltoHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conversation_ids = conversation_ids
        self.labels = labels
        self.min_coverage = min_coverage
        self.updated_after = updated_after
        self.concurrency = concurrency
        self.zelto_conn_id = zelto_conn_id
        self._since = 0.0
        self._store: StateStore | None = None
        CoverageCondition.check_literals(self._arguments(CoverageCondition))
        if not is_templated(conversation_ids):
            self._check_length(conversation_ids)

    def execute(self, context: Context) -> Any:
        """Wait, in the mode the task was given, and return the summary."""
        self._since = time.time() - self._seconds_waited(context)
        # A rescheduled sensor is a new process each time; Airflow 3.3 brought it a memory.
        self._store = context.get("task_state_store") if self.reschedule else None
        try:
            return super().execute(context)
        except (AirflowSensorTimeout, AirflowSkipException) as error:
            # A skip of Airflow's own for a timeout has no cause.
            if isinstance(error.__cause__ or AirflowSensorTimeout(), AirflowSensorTimeout):
                raise type(error)(f"{error} {self._coverage}.") from None
            raise

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral; what was missing at a timeout only another question can tell."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (AirflowSensorTimeout, AirflowSkipException) as error:
            if (next_kwargs or {}).get("error") != TRIGGER_TIMEOUT:
                raise
            return self._ask_at_the_end(type(error))

    def make_trigger(self) -> CustomerMetricsCoverageTrigger:
        """Make the trigger that waits for the calls that are missing still."""
        coverage = self._coverage
        arguments = coverage.condition.to_json()
        covered = 0
        if len(coverage.missing) <= CALLS_IN_TRIGGER:
            arguments["conversation_ids"], covered = list(coverage.missing), coverage.covered
        return CustomerMetricsCoverageTrigger(
            **arguments,
            covered=covered,
            waiting_since=self._since,
            zelto_conn_id=self.zelto_conn_id,
            **self.polling(),
        )

    def ask(self, hook: ZeltoHook) -> CoverageSummary | None:
        """Ask once for every call that is missing; give the summary when there are enough."""
        coverage = self._coverage
        covered = coverage.covered
        # The main thread reads the connection, and stays free for the signals by which Airflow ends a task.
        thread = LoopThread(self._ask_for_all(hook.get_settings()))
        try:
            while not thread.wait(SECONDS_BETWEEN_REPORTS):
                self.log.info("So far %s.", str(coverage))  # now: a handler may format later
        except BaseException:
            coverage.stop()
            raise
        failure = thread.result()
        if failure is not None:
            self.log.warning("Not all calls could be asked for. The last failure: %s", failure)
        if coverage.is_enough:
            return coverage.summary(time.time() - self._since)
        if self._store is not None and coverage.covered > covered:
            self._store.set(_STATE_KEY, coverage.state())
        self.log.info("So far %s.", str(coverage))
        return None

    def accept(self, result: CoverageSummary) -> CoverageSummary:
        """Say in the log how many calls have what was waited for."""
        if self._store is not None:
            self._store.delete(_STATE_KEY)
        self.log.info("%d of %d calls have what was waited for.", result["covered"], result["calls"])
        return result

    @cached_property
    def _coverage(self) -> Coverage:
        condition = CoverageCondition.check(self._arguments(CoverageCondition))
        self._check_length(condition.conversation_ids)
        coverage = Coverage(condition, read_calls(condition.conversation_ids, minimum=1))
        if self._store is not None:
            coverage.go_on(self._store.get(_STATE_KEY))
        return coverage

    async def _ask_for_all(self, settings: ClientSettings) -> APIError | None:
        coverage = self._coverage
        async with AsyncAPIClient(settings, coverage.condition.concurrency) as client:
            return await coverage.ask(
                lambda call: client.send(list_request(call)), max_failures=self.max_consecutive_failures
            )

    def _ask_at_the_end(self, error_class: type[Exception]) -> CoverageSummary:
        self._since = time.time() - self.timeout
        try:
            result = self.ask(self._hook)
        except Exception as error:  # whatever it is, the wait has timed out
            found = f"Which calls are missing is not known: {error}"
        else:
            if result is not None:
                self.log.info("The wait timed out, and asking once more found enough calls.")
                return self.accept(result)
            found = f"{self._coverage}."
        raise error_class(f"Not enough calls within {self.timeout:g} s. {found}") from None

    def _check_length(self, calls: Any) -> None:
        """Keep what Airflow stores of a trigger small."""
        if self.deferrable and not isinstance(calls, str) and len(calls) > CALLS_IN_TRIGGER:
            limit = (
                f"a list that a trigger takes, of at most {CALLS_IN_TRIGGER} ids (it has {len(calls)}): give "
                "the URI of a text file with one a line, where workers and triggerers reach it, or wait with "
                "deferrable=False"
            )
            raise InvalidMetricError([FieldError("conversation_ids", calls, limit)])
