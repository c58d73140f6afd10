"""The hook for Zelto: submit a call's customer metrics and list them."""

from __future__ import annotations

from typing import Any

from airflow_provider_zelto.api_request import APIRequest
from airflow_provider_zelto.assets import report_lineage
from airflow_provider_zelto.hooks.base import APIHook, connection_form_widgets, ui_field_behaviour
from airflow_provider_zelto.models import (
    Call,
    CustomerMetric,
    NewCustomerMetric,
    read_customer_metric,
    read_customer_metric_list,
)
from airflow_provider_zelto.services import ZELTO

_NO_CALL = "00000000-0000-0000-0000-000000000000"


class ZeltoHook(APIHook):
    """
    Talk to Zelto with the credentials of an Airflow connection of type ``zelto``.

    Nothing is read or sent when the hook is made. ``with`` and ``async with`` close the pooled connections;
    without them they are closed when the hook goes away.

    :param zelto_conn_id: id of the connection. Default: ``zelto_default``.
    """

    conn_name_attr = "zelto_conn_id"
    default_conn_name = "zelto_default"
    conn_type = "zelto"
    hook_name = "Zelto"
    service = ZELTO

    get_ui_field_behaviour = classmethod(ui_field_behaviour)
    get_connection_form_widgets = classmethod(connection_form_widgets)

    def __init__(self, zelto_conn_id: str = default_conn_name) -> None:
        super().__init__(zelto_conn_id)
        self.zelto_conn_id = zelto_conn_id

    def submit_customer_metric(
        self,
        conversation_id: str,
        *,
        label: str,
        verdict: str | None = None,
        score: float | str | None = None,
        note: str | None = None,
        metric_id: str | None = None,
        external_id: str | None = None,
    ) -> CustomerMetric:
        """
        Attach a metric to a call, or replace the call's metric of the same label.

        API page: "Submit a customer metric". At least one of ``verdict`` and ``score`` is needed.

        :param conversation_id: UUID of the call.
        :param label: the customer's name for the metric, 1–255 characters.
        :param verdict: ``pass`` or ``fail``.
        :param score: 0–100, as a number, a Decimal or numeric text.
        :param note: at most 5000 characters.
        :param metric_id: UUID of the Zelto metric this one maps to.
        :param external_id: the customer's own id for the record, at most 255 characters.
        :return: the metric as Zelto stored it.
        :raises InvalidMetricError: when an argument breaks a limit; nothing is sent then.
        :raises APIError: when the request fails, after repeating it where that can help.
        """
        metric = {
            "conversation_id": conversation_id,
            "label": label,
            "verdict": verdict,
            "score": score,
            "note": note,
            "metric_id": metric_id,
            "external_id": external_id,
        }
        checked = NewCustomerMetric.check(metric)
        stored = self.get_conn().send(submit_request(checked))
        report_lineage(self, checked.conversation_id)
        return stored

    async def asubmit_customer_metric(
        self,
        conversation_id: str,
        *,
        label: str,
        verdict: str | None = None,
        score: float | str | None = None,
        note: str | None = None,
        metric_id: str | None = None,
        external_id: str | None = None,
    ) -> CustomerMetric:
        """Do as :meth:`submit_customer_metric` does, from an event loop."""
        metric = {
            "conversation_id": conversation_id,
            "label": label,
            "verdict": verdict,
            "score": score,
            "note": note,
            "metric_id": metric_id,
            "external_id": external_id,
        }
        checked = NewCustomerMetric.check(metric)
        stored = await (await self.aget_conn()).send(submit_request(checked))
        report_lineage(self, checked.conversation_id)
        return stored

    def list_customer_metrics(self, conversation_id: str) -> list[CustomerMetric]:
        """
        List the metrics attached to a call, in the order Zelto gives them.

        API page: "List a call's customer metrics".

        :param conversation_id: UUID of the call.
        :return: the metrics as Zelto stores them; an empty list when there are none.
        :raises InvalidMetricError: when ``conversation_id`` is no UUID; nothing is sent then.
        :raises NotFoundError: when the key's organization has no such call (yet).
        :raises APIError: when the request fails otherwise, after repeating it where that can help.
        """
        return self.get_conn().send(list_request(conversation_id))

    async def alist_customer_metrics(self, conversation_id: str) -> list[CustomerMetric]:
        """Do as :meth:`list_customer_metrics` does, from an event loop."""
        request = list_request(conversation_id)
        return await (await self.aget_conn()).send(request)

    def probe(self) -> APIRequest[list[CustomerMetric]]:
        """Ask for the metrics of a call that cannot exist."""
        return list_request(_NO_CALL)


def submit_request(metric: NewCustomerMetric) -> APIRequest[CustomerMetric]:
    """Make the request that submits a metric."""
    return APIRequest(
        "POST",
        _path(metric.conversation_id),
        about=f"call {metric.conversation_id}, label {metric.label!r}",
        read=read_customer_metric,
        body=metric.body(),
    )


def list_request(conversation_id: str) -> APIRequest[list[CustomerMetric]]:
    """
    Make the request that lists a call's metrics.

    :raises InvalidMetricError: when the id is no UUID.
    """
    call = Call.check({"conversation_id": conversation_id}).conversation_id
    return APIRequest("GET", _path(call), about=f"call {call}", read=_read_list)


def _path(conversation_id: str) -> str:
    return f"/v1/conversations/{conversation_id}/customer-metrics"


def _read_list(answer: Any) -> list[CustomerMetric]:
    return read_customer_metric_list(answer)["data"]
