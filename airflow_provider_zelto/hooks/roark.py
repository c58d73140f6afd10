"""The hook for Roark: list a chat's metrics."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from airflow_provider_zelto.api_request import APIRequest
from airflow_provider_zelto.arguments import boolean, one_of
from airflow_provider_zelto.hooks.base import APIHook, connection_form_widgets, ui_field_behaviour
from airflow_provider_zelto.models import Chat, read_roark_metrics
from airflow_provider_zelto.services import ROARK

_NO_CHAT = "00000000-0000-0000-0000-000000000000"


class ChatMetricsQuery(Chat):
    """What is asked of a chat's metrics."""

    flatten: Annotated[bool, BeforeValidator(boolean)] = False
    status: Annotated[str, BeforeValidator(one_of("success", "all"))] = "success"


class RoarkHook(APIHook):
    """
    Talk to Roark with the credentials of an Airflow connection of type ``roark``.

    Nothing is read or sent when the hook is made. ``with`` and ``async with`` close the pooled connections;
    without them they are closed when the hook goes away.

    :param roark_conn_id: id of the connection. Default: ``roark_default``.
    """

    conn_name_attr = "roark_conn_id"
    default_conn_name = "roark_default"
    conn_type = "roark"
    hook_name = "Roark"
    service = ROARK

    get_ui_field_behaviour = classmethod(ui_field_behaviour)
    get_connection_form_widgets = classmethod(connection_form_widgets)

    def __init__(self, roark_conn_id: str = default_conn_name) -> None:
        super().__init__(roark_conn_id)
        self.roark_conn_id = roark_conn_id

    def list_chat_metrics(
        self, chat_id: str, *, flatten: bool = False, status: str = "success"
    ) -> list[dict[str, Any]]:
        """
        List the metrics of a chat.

        A metric that is still being computed is not in the list. API page: "List chat metrics".

        :param chat_id: id of the chat: 1–64 letters, digits, ``-`` and ``_``.
        :param flatten: give a flat list of values instead of definitions with their ``values``.
        :param status: ``success``, or ``all`` for rows without a value as well.
        :return: the vendor's ``data``.
        :raises InvalidMetricError: when an argument breaks a limit; nothing is sent then.
        :raises NotFoundError: when the key's project has no such chat (yet).
        :raises APIError: when the request fails otherwise, after repeating it where that can help.
        """
        return self.get_conn().send(list_request(chat_id, flatten=flatten, status=status))

    async def alist_chat_metrics(
        self, chat_id: str, *, flatten: bool = False, status: str = "success"
    ) -> list[dict[str, Any]]:
        """Do as :meth:`list_chat_metrics` does, from an event loop."""
        request = list_request(chat_id, flatten=flatten, status=status)
        return await (await self.aget_conn()).send(request)

    def probe(self) -> APIRequest[list[dict[str, Any]]]:
        """Ask for the metrics of a chat that cannot exist."""
        return list_request(_NO_CHAT)


def list_request(chat_id: str, **options: Any) -> APIRequest[list[dict[str, Any]]]:
    """
    Make the request that lists a chat's metrics.

    :raises InvalidMetricError: when an argument breaks a limit.
    """
    query = ChatMetricsQuery.check({"chat_id": chat_id, **options})
    return APIRequest(
        "GET",
        f"/v1/chat/{query.chat_id}/metrics",
        about=f"chat {query.chat_id}",
        read=_read_list,
        params={"flatten": str(query.flatten).lower(), "status": query.status},
    )


def _read_list(answer: Any) -> list[dict[str, Any]]:
    return read_roark_metrics(answer)["data"]
