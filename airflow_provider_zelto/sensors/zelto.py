"""Sensors for Zelto."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from airflow_provider_zelto.conditions import MetricsCondition
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.models import CustomerMetric
from airflow_provider_zelto.sensors.base import PollSensor
from airflow_provider_zelto.triggers.zelto import CustomerMetricsTrigger


class CustomerMetricsSensor(PollSensor[ZeltoHook]):
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
    :param max_consecutive_failures: how many failures in a row end the wait. Default: 10.
    :return: XCom: list of the matching metrics as Zelto stores them, sorted by label.
    :raises InvalidMetricError: when an argument breaks a limit; the task is not retried.
    :raises AirflowSensorTimeout: after ``timeout`` seconds; the task is not retried.
    :raises APIError: when asking again is no use, with the last cause.
    """

    template_fields: Sequence[str] = ("conversation_id", "labels", "updated_after", "zelto_conn_id")

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
        MetricsCondition.check_literals(self._arguments(MetricsCondition))

    def make_hook(self) -> ZeltoHook:
        """Make the hook for the connection."""
        return ZeltoHook(self.zelto_conn_id)

    def make_trigger(self) -> CustomerMetricsTrigger:
        """Make the trigger that waits for the same."""
        return CustomerMetricsTrigger(
            **MetricsCondition.check(self._arguments(MetricsCondition)).to_json(),
            zelto_conn_id=self.zelto_conn_id,
            **self.polling(),
        )

    def ask(self, hook: ZeltoHook) -> list[CustomerMetric] | None:
        """Ask once; give the matching metrics when they are all there."""
        condition = MetricsCondition.check(self._arguments(MetricsCondition))
        return condition.met_by(hook.list_customer_metrics(condition.conversation_id))

    def accept(self, result: list[CustomerMetric]) -> list[CustomerMetric]:
        """Name the labels found in the log."""
        found = [metric["label"] for metric in result]
        self.log.info("Call %s has what was waited for: %s.", self.conversation_id, found)
        return result
