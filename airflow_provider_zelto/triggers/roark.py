"""Triggers for Roark."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from airflow_provider_zelto.conditions import MAX_CONSECUTIVE_FAILURES, ChatMetricsCondition
from airflow_provider_zelto.hooks.roark import RoarkHook
from airflow_provider_zelto.triggers.base import ConditionTrigger


class RoarkChatMetricsTrigger(ConditionTrigger[RoarkHook, ChatMetricsCondition]):
    """
    Wait in the triggerer until a chat's metrics are computed.

    The event carries ``{"result": [metrics]}``, the definitions of the metrics waited for with their
    ``values``, or ``{"error": {...}}``.

    :param chat_id: id of the chat.
    :param slugs: slugs of the metrics that must all be computed.
    :param on_missing_value: ``succeed``, ``fail`` or ``skip``; other than ``succeed`` it ends the wait at the
        first metric without a value.
    :param roark_conn_id: id of the connection. Default: ``roark_default``.
    :param poke_interval: seconds between two questions.
    :param max_consecutive_failures: how many failures in a row end the wait.
    :param end_from_trigger: end the task as successful once the metrics are there, without a worker.
    :param do_xcom_push: whether the task's end leaves the metrics as XCom.
    """

    hook_class = RoarkHook

    def __init__(
        self,
        *,
        chat_id: str,
        slugs: Collection[str],
        on_missing_value: str = "fail",
        roark_conn_id: str = RoarkHook.default_conn_name,
        poke_interval: float = 60,
        max_consecutive_failures: int = MAX_CONSECUTIVE_FAILURES,
        end_from_trigger: bool = False,
        do_xcom_push: bool = True,
    ) -> None:
        super().__init__(
            ChatMetricsCondition,
            {"chat_id": chat_id, "slugs": slugs, "on_missing_value": on_missing_value},
            poke_interval=poke_interval,
            max_consecutive_failures=max_consecutive_failures,
            end_from_trigger=end_from_trigger,
            do_xcom_push=do_xcom_push,
        )
        self.roark_conn_id = roark_conn_id

    def is_success(self, result: Any) -> bool:
        """Tell whether every metric has a value, or need not have one."""
        return not self.condition.unwelcome(result)

    async def poke(self, hook: RoarkHook) -> list[dict[str, Any]] | None:
        """Ask once; give the metrics when they are all computed."""
        return self.condition.met_by(await hook.alist_chat_metrics(self.condition.chat_id, status="all"))
