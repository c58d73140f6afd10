"""What the operators share: submitting a task's metrics, and a request for each of many rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_zelto.arguments import DEFAULT_CONCURRENCY
from airflow_provider_zelto.assets import report_events, report_lineage
from airflow_provider_zelto.checkpoint import Checkpoint
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.models import CustomerMetric, NewCustomerMetric

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_zelto.batch_run import JobRun


def submit_metrics(
    operator: BaseOperator,
    context: Context,
    zelto_conn_id: str,
    metrics: Iterable[NewCustomerMetric],
    *,
    log_each: bool = True,
) -> list[CustomerMetric]:
    """Submit a task's metrics one after the other; say in its log and its asset events what was stored."""
    submitted: list[CustomerMetric] = []
    changed: dict[str, list[CustomerMetric]] = {}
    with ZeltoHook(zelto_conn_id) as hook:
        for metric in metrics:
            stored = hook.submit_customer_metric(**metric.model_dump())
            submitted.append(stored)
            changed.setdefault(metric.conversation_id, []).append(stored)
            if log_each:
                operator.log.info(
                    "Zelto stored %r for call %s: verdict %s, score %s.",
                    stored["label"],
                    stored["conversationId"],
                    stored.get("verdict"),
                    stored.get("score"),
                )
    report_events(context, operator.outlets, changed)
    return submitted


def report_batch(
    operator: BatchOperator, context: Context, changed: Mapping[str, Sequence[CustomerMetric]]
) -> None:
    """Tell Airflow's lineage and the task's asset events which calls a batch has changed."""
    hook = ZeltoHook(operator.zelto_conn_id)
    for call in changed:
        report_lineage(hook, call)
    report_events(context, operator.outlets, changed)


class BatchOperator(BaseOperator):
    """
    Base of the operators that send one request for each of many rows.

    :param concurrency: how many requests are under way at once, 1–256. Default: 16.
    :param max_requests_per_second: at most so many requests start in a second. Default: no limit.
    :param max_rejects: more rejected rows than this stop the batch, and fail the task without a retry; None
        for no limit.
    :param rejects_path: where rejected rows are written as JSON Lines with ``row_number``, ``row`` and
        ``reason`` (templated): anything that ObjectStoragePath reaches. Default: nowhere.
    :param zelto_conn_id: id of the connection (templated). Default: ``zelto_default``.
    """

    def __init__(
        self,
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        max_requests_per_second: float | None = None,
        max_rejects: int | None = 0,
        rejects_path: str | None = None,
        zelto_conn_id: str = ZeltoHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.concurrency = concurrency
        self.max_requests_per_second = max_requests_per_second
        self.max_rejects = max_rejects
        self.rejects_path = rejects_path
        self.zelto_conn_id = zelto_conn_id
        self._batch_run: JobRun[Any] | None = None

    def on_kill(self) -> None:
        """Finish the requests under way and send nothing more."""
        if self._batch_run is not None:
            self._batch_run.stop()

    def _options(self) -> dict[str, Any]:
        return {
            "concurrency": self.concurrency,
            "max_requests_per_second": self.max_requests_per_second,
            "max_rejects": self.max_rejects,
            "rejects_path": self.rejects_path,
        }

    def _run_arguments(self, context: Context, *, keeps_progress: bool = True) -> dict[str, Any]:
        # Airflow 3.3 brought the store; before it a retry sends everything again.
        store = context.get("task_state_store") if keeps_progress else None
        return {
            "settings": ZeltoHook(self.zelto_conn_id).get_settings,
            "checkpoint": Checkpoint(store, scope=self.zelto_conn_id),
            "log": self.log,
        }
