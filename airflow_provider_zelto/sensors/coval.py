"""Sensors for Coval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_zelto.conditions import ConversationMetricsCondition
from airflow_provider_zelto.hooks.coval import CovalHook
from airflow_provider_zelto.models import CovalMetric
from airflow_provider_zelto.sensors.base import SourceSensor
from airflow_provider_zelto.triggers.coval import CovalConversationMetricsTrigger


class CovalConversationMetricsSensor(SourceSensor[CovalHook, ConversationMetricsCondition]):
    """
    Wait until metrics of a conversation are computed in Coval.

    Coval's metrics arrive in waves, so the wait names what it expects. A conversation that Coval does not
    know yet and passing failures keep it waiting; ``max_consecutive_failures`` in a row, a refused key or a
    refused request end it. Poking, rescheduled and deferred waits behave alike. API page: "List conversation
    metrics".

    :param conversation_id: id of the conversation, 22–26 letters and digits (templated).
    :param metric_ids: list of the ids of the metrics that must all be computed (templated).
    :param on_missing_value: what a metric that was skipped, failed, cancelled or completed without a value
        does: ``fail`` the task at once and without a retry, ``skip`` it at once, or let it ``succeed`` when
        all are computed. Default: ``fail``.
    :param coval_conn_id: id of the connection (templated). Default: ``coval_default``.
    :param deferrable: wait in the triggerer, without a worker slot.
        Default: ``[operators] default_deferrable``.
    :param start_from_trigger: start in the triggerer, without a worker process, where this Airflow can.
        Default: False.
    :param end_from_trigger: end in the triggerer, XCom included; what fails or skips the task still goes to a
        worker. With both of these a wait that succeeds takes no worker process at all. Default: False.
    :param max_consecutive_failures: how many failures in a row end the wait. Default: 10.
    :return: XCom: list of the vendor's rows for these metrics.
    :raises MissingValueError: when a metric has no value and ``on_missing_value`` is ``fail``.
    :raises InvalidMetricError: when an argument breaks a limit; the task is not retried.
    :raises AirflowSensorTimeout: after ``timeout`` seconds; the task is not retried.
    :raises APIError: when asking again is no use, with the last cause.
    """

    template_fields: Sequence[str] = ("conversation_id", "metric_ids", "coval_conn_id")
    hook_class = CovalHook
    condition_class = ConversationMetricsCondition
    trigger_class = CovalConversationMetricsTrigger

    def __init__(
        self,
        *,
        conversation_id: str,
        metric_ids: Sequence[str],
        on_missing_value: str = "fail",
        coval_conn_id: str = CovalHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conversation_id = conversation_id
        self.metric_ids = metric_ids
        self.on_missing_value = on_missing_value
        self.coval_conn_id = coval_conn_id
        self.check_arguments()

    def ask(self, hook: CovalHook) -> list[CovalMetric] | None:
        """Ask once; give the outputs when all metrics are computed."""
        condition = self.condition
        return condition.met_by(hook.list_conversation_metrics(condition.conversation_id))
