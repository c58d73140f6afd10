"""Operators for Coval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_zelto.hooks.coval import DEFAULT_PAGE_SIZE, ConversationMetricsQuery, CovalHook
from airflow_provider_zelto.models import CovalMetric

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class ListCovalConversationMetricsOperator(BaseOperator):
    """
    List the metric outputs of a conversation in Coval, from all pages.

    API page: "List conversation metrics".

    :param conversation_id: id of the conversation, 22–26 letters and digits (templated).
    :param filter: e.g. ``metric_name=latency AND status=COMPLETED``, with quotes around values that hold
        spaces (templated). Default: all.
    :param page_size: rows a request, 1–1000. Default: 1000.
    :param order_by: ``metric_name``, ``create_time``, ``start_time``, ``end_time`` or ``value``; with ``-``
        in front for descending order (templated). Default: ``metric_name``.
    :param coval_conn_id: id of the connection (templated). Default: ``coval_default``.
    :return: XCom: list of the vendor's rows.
    :raises InvalidMetricError: when an argument breaks a limit; the task is not retried.
    :raises NotFoundError: when the key's organization has no such conversation (yet).
    :raises APIError: when a request fails otherwise, after repeating it where that can help.
    """

    template_fields: Sequence[str] = ("conversation_id", "filter", "order_by", "coval_conn_id")
    ui_color = "#f7ecd9"

    def __init__(
        self,
        *,
        conversation_id: str,
        filter: str | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        order_by: str | None = None,
        coval_conn_id: str = CovalHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conversation_id = conversation_id
        self.filter = filter
        self.page_size = page_size
        self.order_by = order_by
        self.coval_conn_id = coval_conn_id
        ConversationMetricsQuery.check_literals({"conversation_id": conversation_id, **self._options()})

    def execute(self, context: Context) -> list[CovalMetric]:
        """List the metric outputs and return them."""
        with CovalHook(self.coval_conn_id) as hook:
            rows = list(hook.list_conversation_metrics(self.conversation_id, **self._options()))
        self.log.info("Conversation %s has %d metric outputs in Coval.", self.conversation_id, len(rows))
        return rows

    def _options(self) -> dict[str, Any]:
        return {"filter": self.filter, "page_size": self.page_size, "order_by": self.order_by}
