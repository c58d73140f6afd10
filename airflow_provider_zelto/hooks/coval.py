"""The hook for Coval: list a conversation's metric outputs, page by page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator

from airflow_provider_zelto.api_request import APIRequest
from airflow_provider_zelto.arguments import refuse, whole_number
from airflow_provider_zelto.exceptions import APIResponseValidationError, FieldError, InvalidMetricError
from airflow_provider_zelto.hooks.base import APIHook, connection_form_widgets, ui_field_behaviour
from airflow_provider_zelto.models import CovalConversation, CovalMetric, CovalPage, read_coval_page
from airflow_provider_zelto.services import COVAL

DEFAULT_PAGE_SIZE = 1000
_NO_CONVERSATION = "0" * 26
_FILTER_FIELDS = ("metric_name", "status", "output_type")
_ORDER_FIELDS = ("metric_name", "create_time", "start_time", "end_time", "value")
# No half of a surrogate pair: UTF-8, and so a URL, cannot carry it.
_COMPARISON = rf'({"|".join(_FILTER_FIELDS)})=("[^"\ud800-\udfff]*"|[^\s"\ud800-\udfff]+)'
_FILTER = re.compile(rf"{_COMPARISON}( AND {_COMPARISON})*")


def _filter(value: Any) -> str:
    if not isinstance(value, str) or not _FILTER.fullmatch(value):
        refuse(
            f"comparisons field=value joined by AND, of {', '.join(_FILTER_FIELDS)}, with values that hold "
            "spaces in double quotes"
        )
    return value


def _order(value: Any) -> str:
    if not isinstance(value, str) or value.removeprefix("-") not in _ORDER_FIELDS:
        refuse(f"one of {', '.join(_ORDER_FIELDS)}, with - in front for descending order")
    return value


class ConversationMetricsQuery(CovalConversation):
    """What is asked of a conversation's metric outputs."""

    filter: Annotated[str, BeforeValidator(_filter)] | None = None
    page_size: Annotated[int, BeforeValidator(whole_number(1, 1000))] = DEFAULT_PAGE_SIZE
    order_by: Annotated[str, BeforeValidator(_order)] | None = None


def coval_filter(**comparisons: str) -> str:
    """
    Write a filter for :meth:`CovalHook.list_conversation_metrics`, with quotes where a value needs them.

    ``coval_filter(metric_name="first reply", status="COMPLETED")`` gives
    ``metric_name="first reply" AND status=COMPLETED``.

    :param comparisons: ``metric_name``, ``status``, ``output_type``.
    :raises InvalidMetricError: when a field is unknown, or a value is empty or holds a double quote.
    """
    errors = [
        FieldError(name, value, f"a known field: {', '.join(_FILTER_FIELDS)}")
        for name, value in comparisons.items()
        if name not in _FILTER_FIELDS
    ]
    errors += [
        FieldError(name, value, "text without double quotes")
        for name, value in comparisons.items()
        if not isinstance(value, str) or not value or '"' in value
    ]
    if errors or not comparisons:
        raise InvalidMetricError(errors or [FieldError("filter", comparisons, "at least one comparison")])
    return " AND ".join(
        f'{name}="{value}"' if re.search(r"\s", value) else f"{name}={value}"
        for name, value in comparisons.items()
    )


class CovalHook(APIHook):
    """
    Talk to Coval with the credentials of an Airflow connection of type ``coval``.

    Nothing is read or sent when the hook is made. ``with`` and ``async with`` close the pooled connections;
    without them they are closed when the hook goes away.

    :param coval_conn_id: id of the connection. Default: ``coval_default``.
    """

    conn_name_attr = "coval_conn_id"
    default_conn_name = "coval_default"
    conn_type = "coval"
    hook_name = "Coval"
    service = COVAL

    get_ui_field_behaviour = classmethod(ui_field_behaviour)
    get_connection_form_widgets = classmethod(connection_form_widgets)

    def __init__(self, coval_conn_id: str = default_conn_name) -> None:
        super().__init__(coval_conn_id)
        self.coval_conn_id = coval_conn_id

    def list_conversation_metrics(
        self,
        conversation_id: str,
        *,
        filter: str | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        order_by: str | None = None,
    ) -> Iterator[CovalMetric]:
        """
        List the metric outputs of a conversation; a page is asked for when its first row is wanted.

        API page: "List conversation metrics".

        :param conversation_id: id of the conversation, 22–26 letters and digits.
        :param filter: e.g. ``metric_name=latency AND status=COMPLETED``; see :func:`coval_filter`.
        :param page_size: rows a page, 1–1000. Default: 1000.
        :param order_by: ``metric_name``, ``create_time``, ``start_time``, ``end_time`` or ``value``; with
            ``-`` in front for descending order. Default: ``metric_name``.
        :return: the vendor's rows, one after the other.
        :raises InvalidMetricError: when an argument breaks a limit; nothing is sent then.
        :raises NotFoundError: when the key's organization has no such conversation (yet).
        :raises APIError: when a request fails otherwise, after repeating it where that can help.
        """
        pages = Pages(conversation_id, filter=filter, page_size=page_size, order_by=order_by)
        return self._walk(pages)

    def _walk(self, pages: Pages) -> Iterator[CovalMetric]:
        while (request := pages.next_request()) is not None:
            yield from pages.take(self.get_conn().send(request))

    def alist_conversation_metrics(
        self,
        conversation_id: str,
        *,
        filter: str | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        order_by: str | None = None,
    ) -> AsyncIterator[CovalMetric]:
        """Do as :meth:`list_conversation_metrics` does, for ``async for``."""
        pages = Pages(conversation_id, filter=filter, page_size=page_size, order_by=order_by)
        return self._awalk(pages)

    async def _awalk(self, pages: Pages) -> AsyncIterator[CovalMetric]:
        while (request := pages.next_request()) is not None:
            client = await self.aget_conn()
            for row in pages.take(await client.send(request)):
                yield row

    def probe(self) -> APIRequest[CovalPage]:
        """Ask for the metrics of a conversation that cannot exist."""
        request = Pages(_NO_CONVERSATION, page_size=1).next_request()
        assert request is not None
        return request


class Pages:
    """
    Walks the pages of a conversation's metric outputs, without doing any I/O.

    :param conversation_id: id of the conversation.
    :param options: the other arguments of :meth:`CovalHook.list_conversation_metrics`.
    :raises InvalidMetricError: when an argument breaks a limit.
    """

    def __init__(self, conversation_id: str, **options: Any) -> None:
        self._query = ConversationMetricsQuery.check({"conversation_id": conversation_id, **options})
        self._path = f"/v1/conversations/{self._query.conversation_id}/metrics"
        self._token: str | None = None
        self._tokens: set[str] = set()
        self._ended = False

    def next_request(self) -> APIRequest[CovalPage] | None:
        """Make the request for the next page, or None after the last."""
        if self._ended:
            return None
        query = self._query
        params = {
            "filter": query.filter,
            "page_size": str(query.page_size),
            "order_by": query.order_by,
            "page_token": self._token,
        }
        return APIRequest(
            "GET",
            self._path,
            about=f"conversation {query.conversation_id}",
            read=read_coval_page,
            params={name: value for name, value in params.items() if value is not None},
        )

    def take(self, page: CovalPage) -> list[CovalMetric]:
        """
        Take a page and give its rows.

        :raises APIResponseValidationError: when its token was given before: the pages would never end.
        """
        self._token = page.get("next_page_token") or None
        self._ended = self._token is None
        if self._token is not None and self._token in self._tokens:
            raise APIResponseValidationError(
                f"Coval gave the same page token twice for conversation {self._query.conversation_id}: its "
                "pages would never end. Try again later, or with a larger page_size.",
                service=COVAL.name,
                method="GET",
                path=self._path,
            )
        if self._token is not None:
            self._tokens.add(self._token)
        return page["metrics"]
