"""Operators for Roark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_zelto.hooks.roark import ChatMetricsQuery, RoarkHook

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class ListRoarkChatMetricsOperator(BaseOperator):
    """
    List the metrics of a chat in Roark.

    A metric that is still being computed is not in the list. API page: "List chat metrics".

    :param chat_id: id of the chat (templated).
    :param flatten: give a flat list of values instead of definitions with their ``values``. Default: False.
    :param status: ``success``, or ``all`` for rows without a value as well (templated). Default: ``success``.
    :param roark_conn_id: id of the connection (templated). Default: ``roark_default``.
    :return: XCom: the vendor's ``data``.
    :raises InvalidMetricError: when an argument breaks a limit; the task is not retried.
    :raises NotFoundError: when the key's project has no such chat (yet).
    :raises APIError: when the request fails otherwise, after repeating it where that can help.
    """

    template_fields: Sequence[str] = ("chat_id", "status", "roark_conn_id")
    ui_color = "#e9e4f7"

    def __init__(
        self,
        *,
        chat_id: str,
        flatten: bool = False,
        status: str = "success",
        roark_conn_id: str = RoarkHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.chat_id = chat_id
        self.flatten = flatten
        self.status = status
        self.roark_conn_id = roark_conn_id
        ChatMetricsQuery.check_literals({"chat_id": chat_id, "flatten": flatten, "status": status})

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """List the metrics and return them."""
        with RoarkHook(self.roark_conn_id) as hook:
            metrics = hook.list_chat_metrics(self.chat_id, flatten=self.flatten, status=self.status)
        self.log.info("Chat %s has %d metrics in Roark.", self.chat_id, len(metrics))
        return metrics
