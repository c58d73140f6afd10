"""Sensors for Roark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_zelto.conditions import ChatMetricsCondition
from airflow_provider_zelto.hooks.roark import RoarkHook
from airflow_provider_zelto.sensors.base import SourceSensor
from airflow_provider_zelto.triggers.roark import RoarkChatMetricsTrigger


class RoarkChatMetricsSensor(SourceSensor[RoarkHook, ChatMetricsCondition]):
    """
    Wait until metrics of a chat are computed in Roark.

    Roark shows nothing of a metric that it is still computing, so the wait names what it expects. A chat that
    Roark does not know yet and passing failures keep it waiting; ``max_consecutive_failures`` in a row, a
    refused key or a refused request end it. Poking, rescheduled and deferred waits behave alike. API page:
    "List chat metrics".

    :param chat_id: id of the chat (templated).
    :param slugs: list of the slugs of the metrics that must all be computed (templated).
    :param on_missing_value: what a metric that was computed without a value, or failed, does: ``fail`` the
        task at once and without a retry, ``skip`` it at once, or let it ``succeed`` when all are computed.
        Default: ``fail``.
    :param roark_conn_id: id of the connection (templated). Default: ``roark_default``.
    :param deferrable: wait in the triggerer, without a worker slot.
        Default: ``[operators] default_deferrable``.
    :param start_from_trigger: start in the triggerer, without a worker process, where this Airflow can.
        Default: False.
    :param end_from_trigger: end in the triggerer, XCom included; what fails or skips the task still goes to a
        worker. With both of these a wait that succeeds takes no worker process at all. Default: False.
    :param max_consecutive_failures: how many failures in a row end the wait. Default: 10.
    :return: XCom: list of the vendor's metric definitions with these slugs and their ``values``.
    :raises MissingValueError: when a metric has no value and ``on_missing_value`` is ``fail``.
    :raises InvalidMetricError: when an argument breaks a limit; the task is not retried.
    :raises AirflowSensorTimeout: after ``timeout`` seconds; the task is not retried.
    :raises APIError: when asking again is no use, with the last cause.
    """

    template_fields: Sequence[str] = ("chat_id", "slugs", "roark_conn_id")
    hook_class = RoarkHook
    condition_class = ChatMetricsCondition
    trigger_class = RoarkChatMetricsTrigger

    def __init__(
        self,
        *,
        chat_id: str,
        slugs: Sequence[str],
        on_missing_value: str = "fail",
        roark_conn_id: str = RoarkHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.chat_id = chat_id
        self.slugs = slugs
        self.on_missing_value = on_missing_value
        self.roark_conn_id = roark_conn_id
        self.check_arguments()

    def ask(self, hook: RoarkHook) -> list[dict[str, Any]] | None:
        """Ask once; give the metrics when they are all computed."""
        condition = self.condition
        return condition.met_by(hook.list_chat_metrics(condition.chat_id, status="all"))
