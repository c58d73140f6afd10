"""Operators for Zelto: submit a call's metric, list a call's metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_zelto.conditions import MetricsSelection, with_labels
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.models import CustomerMetric, NewCustomerMetric

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class SubmitCustomerMetricOperator(BaseOperator):
    """
    Attach an evaluation to a call in Zelto, or replace the call's evaluation of the same label.

    Every argument is templated. Literal values are validated when the DAG is parsed, templated ones when the
    task runs, before anything is sent. Submitting again replaces, so a retried task is safe. API page:
    "Submit a customer metric".

    :param conversation_id: UUID of the call.
    :param label: the customer's name for the metric, 1–255 characters. It is rendered as ``metric_label``;
        in a mapped task an XCom goes into ``.expand()``, not into ``.partial()``.
    :param verdict: ``pass`` or ``fail``; at least one of ``verdict`` and ``score`` is needed.
    :param score: 0–100, as a number or numeric text.
    :param note: at most 5000 characters.
    :param metric_id: UUID of the Zelto metric this one maps to.
    :param external_id: the customer's own id for the record, at most 255 characters.
    :param zelto_conn_id: id of the connection. Default: ``zelto_default``.
    :return: XCom: the metric as Zelto stored it (``id``, ``conversationId``, ``label``, ``verdict``,
        ``score``, ``updatedAt``, …), with a key of its own for each field under ``multiple_outputs=True``.
    :raises InvalidMetricError: naming every argument that breaks a limit; the task is not retried.
    :raises APIError: when the request fails, after repeating it where that can help.
    """

    template_fields: Sequence[str] = (
        "conversation_id",
        # Airflow keeps a task's own name in "label": a template field of that name breaks the stored DAG.
        "metric_label",
        "verdict",
        "score",
        "note",
        "metric_id",
        "external_id",
        "zelto_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"note": "md"}
    ui_color = "#d9efe6"

    def __init__(
        self,
        *,
        conversation_id: str,
        label: str,
        verdict: str | None = None,
        score: float | str | None = None,
        note: str | None = None,
        metric_id: str | None = None,
        external_id: str | None = None,
        zelto_conn_id: str = ZeltoHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conversation_id = conversation_id
        self.metric_label = label
        self.verdict = verdict
        self.score = score
        self.note = note
        self.metric_id = metric_id
        self.external_id = external_id
        self.zelto_conn_id = zelto_conn_id
        NewCustomerMetric.check_literals(self._metric())

    def execute(self, context: Context) -> CustomerMetric:
        """Submit the metric and return what Zelto stored."""
        with ZeltoHook(self.zelto_conn_id) as hook:
            stored = hook.submit_customer_metric(**self._metric())
        self.log.info(
            "Zelto stored %r for call %s: verdict %s, score %s.",
            stored["label"],
            stored["conversationId"],
            stored.get("verdict"),
            stored.get("score"),
        )
        return stored

    def _metric(self) -> dict[str, Any]:
        return {
            "conversation_id": self.conversation_id,
            "label": self.metric_label,
            "verdict": self.verdict,
            "score": self.score,
            "note": self.note,
            "metric_id": self.metric_id,
            "external_id": self.external_id,
        }


class ListCustomerMetricsOperator(BaseOperator):
    """
    List the metrics attached to a call in Zelto.

    API page: "List a call's customer metrics".

    :param conversation_id: UUID of the call (templated).
    :param labels: list of labels to narrow the list to (templated). Default: all.
    :param zelto_conn_id: id of the connection (templated). Default: ``zelto_default``.
    :return: XCom: list of the metrics as Zelto stores them, sorted by label.
    :raises InvalidMetricError: when an argument breaks a limit; the task is not retried.
    :raises NotFoundError: when the key's organization has no such call (yet).
    :raises APIError: when the request fails otherwise, after repeating it where that can help.
    """

    template_fields: Sequence[str] = ("conversation_id", "labels", "zelto_conn_id")
    ui_color = "#d9efe6"

    def __init__(
        self,
        *,
        conversation_id: str,
        labels: Sequence[str] | None = None,
        zelto_conn_id: str = ZeltoHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conversation_id = conversation_id
        self.labels = labels
        self.zelto_conn_id = zelto_conn_id
        MetricsSelection.check_literals(self._selection())

    def execute(self, context: Context) -> list[CustomerMetric]:
        """List the metrics and return those with the labels asked for."""
        wanted = MetricsSelection.check(self._selection())
        with ZeltoHook(self.zelto_conn_id) as hook:
            metrics = hook.list_customer_metrics(wanted.conversation_id)
        found = with_labels(metrics, wanted.labels)
        self.log.info(
            "Call %s has %d metrics in Zelto, %d of them asked for.",
            wanted.conversation_id,
            len(metrics),
            len(found),
        )
        return found

    def _selection(self) -> dict[str, Any]:
        return {"conversation_id": self.conversation_id, "labels": self.labels}
