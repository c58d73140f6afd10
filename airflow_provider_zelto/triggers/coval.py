"""Triggers for Coval."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from airflow_provider_zelto.conditions import MAX_CONSECUTIVE_FAILURES, ConversationMetricsCondition
from airflow_provider_zelto.hooks.coval import CovalHook
from airflow_provider_zelto.models import CovalMetric
from airflow_provider_zelto.triggers.base import ConditionTrigger


class CovalConversationMetricsTrigger(ConditionTrigger[CovalHook, ConversationMetricsCondition]):
    """
    Wait in the triggerer until a conversation's metrics are computed.

    The event carries ``{"result": [rows]}``, the outputs of the metrics waited for, or ``{"error": {...}}``.

    :param conversation_id: id of the conversation, 22–26 letters and digits.
    :param metric_ids: ids of the metrics that must all be computed.
    :param on_missing_value: ``succeed``, ``fail`` or ``skip``; other than ``succeed`` it ends the wait at the
        first metric without a value.
    :param coval_conn_id: id of the connection. Default: ``coval_default``.
    :param poke_interval: seconds between two questions.
    :param max_consecutive_failures: how many failures in a row end the wait.
    :param end_from_trigger: end the task as successful once the metrics are there, without a worker.
    :param do_xcom_push: whether the task's end leaves the metrics as XCom.
    """

    hook_class = CovalHook

    def __init__(
        self,
        *,
        conversation_id: str,
        metric_ids: Collection[str],
        on_missing_value: str = "fail",
        coval_conn_id: str = CovalHook.default_conn_name,
        poke_interval: float = 60,
        max_consecutive_failures: int = MAX_CONSECUTIVE_FAILURES,
        end_from_trigger: bool = False,
        do_xcom_push: bool = True,
    ) -> None:
        super().__init__(
            ConversationMetricsCondition,
            {
                "conversation_id": conversation_id,
                "metric_ids": metric_ids,
                "on_missing_value": on_missing_value,
            },
            poke_interval=poke_interval,
            max_consecutive_failures=max_consecutive_failures,
            end_from_trigger=end_from_trigger,
            do_xcom_push=do_xcom_push,
        )
        self.coval_conn_id = coval_conn_id

    def is_success(self, result: Any) -> bool:
        """Tell whether every metric has a value, or need not have one."""
        return not self.condition.unwelcome(result)

    async def poke(self, hook: CovalHook) -> list[CovalMetric] | None:
        """Ask once; give the outputs when all metrics are computed."""
        rows = hook.alist_conversation_metrics(self.condition.conversation_id)
        return self.condition.met_by([row async for row in rows])
