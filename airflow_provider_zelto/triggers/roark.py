"""Triggers for Roark."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from airflow_provider_zelto.conditions import MAX_CONSECUTIVE_FAILURES, ChatMetricsCondition
from airflow_provider_zelto.hooks.roark import RoarkHook
from airflow_provider_zelto.triggers.base import PollTrigger


class RoarkChatMetricsTrigger(PollTrigger[RoarkHook]):
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
    """

    def __init__(
        self,
        *,
        chat_id: str,
        slugs: Collection[str],
        on_missing_value: str = "fail",
        roark_conn_id: str = RoarkHook.default_conn_name,
        poke_interval: float = 60,
        max_consecutive_failures: int = MAX_CONSECUTIVE_FAILURES,
    ) -> None:
        super().__init__(poke_interval=poke_interval, max_consecutive_failures=max_consecutive_failures)
        self.roark_conn_id = roark_conn_id
        self.condition = ChatMetricsCondition.check(
            {"chat_id": chat_id, "slugs": slugs, "on_missing_value": on_missing_value}
        )

    def arguments(self) -> dict[str, Any]:
        """Give the condition and the connection id."""
        return {**self.condition.to_json(), "roark_conn_id": self.roark_conn_id}

    def hook(self) -> RoarkHook:
        """Make the hook for the connection."""
        return RoarkHook(self.roark_conn_id)

    async def poke(self, hook: RoarkHook) -> list[dict[str, Any]] | None:
        """Ask once; give the metrics when they are all computed."""
        return self.condition.met_by(await hook.alist_chat_metrics(self.condition.chat_id, status="all"))
