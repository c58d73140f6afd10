"""Triggers for Zelto."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from airflow_provider_zelto.arguments import DEFAULT_CONCURRENCY
from airflow_provider_zelto.calls import read_calls
from airflow_provider_zelto.conditions import MAX_CONSECUTIVE_FAILURES, MetricsCondition
from airflow_provider_zelto.coverage import Coverage, CoverageCondition, CoverageSummary
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.models import CustomerMetric
from airflow_provider_zelto.triggers.base import ConditionTrigger, PollTrigger


class CustomerMetricsTrigger(ConditionTrigger[ZeltoHook, MetricsCondition]):
    """
    Wait in the triggerer until a call's metrics are there.

    The event carries ``{"result": [metrics]}``, the matching metrics sorted by label, or
    ``{"error": {...}}``.

    :param conversation_id: UUID of the call.
    :param labels: labels that must all be there. Default: any.
    :param min_count: how many metrics must be there.
    :param updated_after: ISO 8601 time; only metrics updated then or later count. Default: all count.
    :param zelto_conn_id: id of the connection. Default: ``zelto_default``.
    :param poke_interval: seconds between two questions.
    :param max_consecutive_failures: how many failures in a row end the wait.
    :param end_from_trigger: end the task as successful once the metrics are there, without a worker.
    :param do_xcom_push: whether the task's end leaves the metrics as XCom.
    """

    hook_class = ZeltoHook

    def __init__(
        self,
        *,
        conversation_id: str,
        labels: Sequence[str] | None = None,
        min_count: int = 1,
        updated_after: str | None = None,
        zelto_conn_id: str = ZeltoHook.default_conn_name,
        poke_interval: float = 60,
        max_consecutive_failures: int = MAX_CONSECUTIVE_FAILURES,
        end_from_trigger: bool = False,
        do_xcom_push: bool = True,
    ) -> None:
        super().__init__(
            MetricsCondition,
            {
                "conversation_id": conversation_id,
                "labels": labels,
                "min_count": min_count,
                "updated_after": updated_after,
            },
            poke_interval=poke_interval,
            max_consecutive_failures=max_consecutive_failures,
            end_from_trigger=end_from_trigger,
            do_xcom_push=do_xcom_push,
        )
        self.zelto_conn_id = zelto_conn_id

    async def poke(self, hook: ZeltoHook) -> list[CustomerMetric] | None:
        """Ask once; give the matching metrics when they are all there."""
        metrics = await hook.alist_customer_metrics(self.condition.conversation_id)
        return self.condition.met_by(metrics)


class CustomerMetricsCoverageTrigger(PollTrigger[ZeltoHook]):
    """
    Wait in the triggerer until many calls have their metrics; only calls still missing are asked for again.

    The event carries ``{"result": {"calls", "covered", "missing", "seconds"}}`` or ``{"error": {...}}``.

    :param conversation_ids: UUIDs of the calls to ask for, or the URI of a text file with one a line, which
        the triggerer must reach.
    :param labels: labels that a call must all have. Default: any metric.
    :param min_coverage: share of the calls that must have them, above 0, at most 1.
    :param updated_after: ISO 8601 time; only metrics updated then or later count. Default: all count.
    :param concurrency: how many calls are asked for at once; all waits of a triggerer on one connection
        share 20 connections.
    :param covered: how many more calls there are, which were found to have their metrics before.
    :param waiting_since: when the wait began, in seconds since 1970. Default: when the trigger starts.
    :param zelto_conn_id: id of the connection. Default: ``zelto_default``.
    :param poke_interval: seconds between two rounds.
    :param max_consecutive_failures: how many rounds in a row without any answer end the wait; within a round
        so many failures in a row leave the rest of it for the next.
    """

    hook_class = ZeltoHook

    def __init__(
        self,
        *,
        conversation_ids: Sequence[str] | str,
        labels: Sequence[str] | None = None,
        min_coverage: float = 1.0,
        updated_after: str | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        covered: int = 0,
        waiting_since: float | None = None,
        zelto_conn_id: str = ZeltoHook.default_conn_name,
        poke_interval: float = 60,
        max_consecutive_failures: int = MAX_CONSECUTIVE_FAILURES,
    ) -> None:
        super().__init__(poke_interval=poke_interval, max_consecutive_failures=max_consecutive_failures)
        self.zelto_conn_id = zelto_conn_id
        self.covered = covered
        self.waiting_since = waiting_since
        self.condition = CoverageCondition.check(
            {
                "conversation_ids": conversation_ids,
                "labels": labels,
                "min_coverage": min_coverage,
                "updated_after": updated_after,
                "concurrency": concurrency,
            }
        )
        self._coverage: Coverage | None = None

    def arguments(self) -> dict[str, Any]:
        """Give the condition, how far the wait has come, and the connection id."""
        return {
            **self.condition.to_json(),
            "covered": self.covered,
            "waiting_since": self.waiting_since,
            "zelto_conn_id": self.zelto_conn_id,
        }

    async def poke(self, hook: ZeltoHook) -> CoverageSummary | None:
        """Ask once for every call that is missing; give the summary when there are enough."""
        if self._coverage is None:
            # A file that is far away takes its time, which the other waits of the triggerer do not have.
            calls = await asyncio.to_thread(read_calls, self.condition.conversation_ids, minimum=1)
            self._coverage = Coverage(self.condition, calls, self.covered)
            self._started = time.time() if self.waiting_since is None else self.waiting_since
        await hook.aget_conn()  # once, before many want it at the same time
        covered = self._coverage.covered
        failure = await self._coverage.ask(
            hook.alist_customer_metrics, max_failures=self.max_consecutive_failures
        )
        if failure is not None:
            self.log.warning("Not all calls could be asked for. The last failure: %s", failure)
        if self._coverage.is_enough:
            return self._coverage.summary(time.time() - self._started)
        if self._coverage.covered > covered:
            self.log.info("So far %s.", self._coverage)
        return None
