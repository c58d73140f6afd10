"""Triggers for Zelto."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_zelto.conditions import MAX_CONSECUTIVE_FAILURES, MetricsCondition
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.models import CustomerMetric
from airflow_provider_zelto.triggers.base import PollTrigger


class CustomerMetricsTrigger(PollTrigger[ZeltoHook]):
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
    """

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
    ) -> None:
        super().__init__(poke_interval=poke_interval, max_consecutive_failures=max_consecutive_failures)
        self.zelto_conn_id = zelto_conn_id
        self.condition = MetricsCondition.check(
            {
                "conversation_id": conversation_id,
                "labels": labels,
                "min_count": min_count,
                "updated_after": updated_after,
            }
        )

    def arguments(self) -> dict[str, Any]:
        """Give the condition and the connection id."""
        return {**self.condition.to_json(), "zelto_conn_id": self.zelto_conn_id}

    def hook(self) -> ZeltoHook:
        """Make the hook for the connection."""
        return ZeltoHook(self.zelto_conn_id)

    async def poke(self, hook: ZeltoHook) -> list[CustomerMetric] | None:
        """Ask once; give the matching metrics when they are all there."""
        metrics = await hook.alist_customer_metrics(self.condition.conversation_id)
        return self.condition.met_by(metrics)
