"""Operators for Zelto: submit one metric or many, list a call's, export or judge those of many calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_zelto.arguments import is_templated, listed
from airflow_provider_zelto.conditions import MetricsSelection, with_labels
from airflow_provider_zelto.export import Export, ExportOptions, ExportSummary
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.links import CallLink
from airflow_provider_zelto.models import CustomerMetric, NewCustomerMetric
from airflow_provider_zelto.operators.base import BatchOperator, report_batch, submit_metrics
from airflow_provider_zelto.operators.quality_gate import (
    CustomerMetricsCheckOperator as CustomerMetricsCheckOperator,
)
from airflow_provider_zelto.rows import Row, file_format, lines_of_file, rows_of_file
from airflow_provider_zelto.submission import Submission, SubmissionOptions, SubmissionSummary

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
    operator_extra_links = (CallLink(),)

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
        metric = NewCustomerMetric.check(self._metric())
        [stored] = submit_metrics(self, context, self.zelto_conn_id, [metric])
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
    operator_extra_links = (CallLink(),)

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
            "Metrics of call %s in Zelto: %d, of them asked for: %d.",
            wanted.conversation_id,
            len(metrics),
            len(found),
        )
        return found

    def _selection(self) -> dict[str, Any]:
        return {"conversation_id": self.conversation_id, "labels": self.labels}


class SubmitRowsOperator(BatchOperator):
    """
    Base of the operators that submit one metric for each of many rows.

    :param dry_run: validate and count the rows, and send nothing. Default: False.
    :param kwargs: the arguments of :class:`~airflow_provider_zelto.operators.base.BatchOperator`.
    """

    def __init__(self, *, dry_run: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dry_run = dry_run  # BaseOperator has a method dry_run
        SubmissionOptions.check_literals(self._options())

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "dry_run": self._dry_run}

    def _submit(
        self, context: Context, open_rows: Callable[[], Iterable[Row]], total: int | None = None
    ) -> SubmissionSummary:
        self._batch_run = submission = Submission(
            SubmissionOptions.check(self._options()),
            total=total,
            **self._run_arguments(context, keeps_progress=not self._dry_run),
        )
        summary = submission.submit(open_rows)
        report_batch(self, context, submission.changed_calls)
        return summary


class BulkSubmitCustomerMetricsOperator(SubmitRowsOperator):
    """
    Submit thousands of metrics from one task: from a list, or from a file that is read as a stream.

    Columns are named as the arguments of :class:`SubmitCustomerMetricOperator` (``conversation_id``,
    ``label``, ``verdict``, ``score``, ``note``, ``metric_id``, ``external_id``) or as in the API
    (``conversationId``, …). Each row is validated before it is sent. A row is rejected when it is not valid,
    or when Zelto answers 400 or 404; 401 and 403 stop the batch at once. Of rows for the same call and label
    the last wins. A 429 pauses the whole batch for as long as ``Retry-After`` says. On Airflow 3.3 and newer
    a retry goes on where the last try stopped; before that it sends everything again, which is safe because
    submitting replaces. API page: "Submit a customer metric".

    :param metrics: list of dicts, or the URI of a ``.jsonl``, ``.csv`` or (with pyarrow) ``.parquet`` file
        anywhere ObjectStoragePath reaches (templated).
    :param concurrency: how many requests are under way at once, 1–256. Default: 16.
    :param max_requests_per_second: at most so many requests start in a second. Default: no limit.
    :param max_rejects: more rejected rows than this stop the batch, and fail the task without a retry; None
        for no limit. Default: 0.
    :param rejects_path: where rejected rows are written as JSON Lines with ``row_number``, ``row`` and
        ``reason`` (templated). Default: nowhere.
    :param dry_run: validate and count the rows, and send nothing. Default: False.
    :param zelto_conn_id: id of the connection (templated). Default: ``zelto_default``.
    :return: XCom: ``submitted``, ``rejected``, ``resumed`` (rows an earlier try had stored), ``seconds`` and
        ``rejects_path``; never the rows.
    :raises InvalidMetricError: when an argument or a column is wrong; the task is not retried.
    :raises TooManyRejectsError: with the first few rejects; the task is not retried.
    :raises APIError: what stopped the batch.
    """

    template_fields: Sequence[str] = ("metrics", "rejects_path", "zelto_conn_id")
    ui_color = "#d9efe6"

    def __init__(self, *, metrics: Iterable[Mapping[str, Any]] | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.metrics = metrics
        if isinstance(metrics, str) and not is_templated(metrics):
            file_format(metrics)

    def execute(self, context: Context) -> SubmissionSummary:
        """Submit the rows and return the summary."""
        metrics = self.metrics
        if isinstance(metrics, str):
            file_format(metrics)
            return self._submit(context, partial(rows_of_file, metrics, NewCustomerMetric.model_fields))
        rows = listed("metrics", metrics)
        return self._submit(context, lambda: rows, len(rows))


class ExportCustomerMetricsOperator(BatchOperator):
    """
    Write the metrics of many calls to a JSON Lines file, one metric a line, in the order of the calls.

    The file appears whole or not at all. A call that Zelto does not know is rejected, like an id that is no
    UUID. API page: "List a call's customer metrics".

    :param conversation_ids: list of the calls' UUIDs, or the URI of a text file with one a line (templated).
    :param path: the file to write, anywhere ObjectStoragePath reaches (templated).
    :param labels: list of labels to narrow the export to (templated). Default: all.
    :param concurrency: how many requests are under way at once, 1–256. Default: 16.
    :param max_requests_per_second: at most so many requests start in a second. Default: no limit.
    :param max_rejects: more rejected calls than this stop the export, and fail the task without a retry; None
        for no limit. Default: None.
    :param rejects_path: where rejected calls are written as JSON Lines with ``row_number``, ``row`` (the id)
        and ``reason`` (templated). Default: nowhere.
    :param zelto_conn_id: id of the connection (templated). Default: ``zelto_default``.
    :return: XCom: ``path``, ``calls`` and ``metrics`` (how many were written), ``rejected``,
        ``first_rejected`` (ids of at most 20 of them), ``seconds`` and ``rejects_path``.
    :raises InvalidMetricError: when an argument is wrong; the task is not retried.
    :raises TooManyRejectsError: with the first few rejects; the task is not retried.
    :raises APIError: what stopped the export.
    """

    template_fields: Sequence[str] = ("conversation_ids", "path", "labels", "rejects_path", "zelto_conn_id")
    ui_color = "#d9efe6"

    def __init__(
        self,
        *,
        conversation_ids: Iterable[str] | str,
        path: str,
        labels: Sequence[str] | None = None,
        max_rejects: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_rejects=max_rejects, **kwargs)
        self.conversation_ids = conversation_ids
        self.path = path
        self.labels = labels
        ExportOptions.check_literals(self._options())

    def execute(self, context: Context) -> ExportSummary:
        """Write the file and return the summary."""
        if isinstance(self.conversation_ids, str):
            return self._export(context, partial(lines_of_file, self.conversation_ids))
        calls = listed("conversation_ids", self.conversation_ids)
        return self._export(context, lambda: calls, len(calls))

    def _export(
        self, context: Context, open_rows: Callable[[], Iterable[str]], total: int | None = None
    ) -> ExportSummary:
        self._batch_run = export = Export(
            ExportOptions.check(self._options()),
            total=total,
            # A file that appears whole or not at all has no half to go on from.
            **self._run_arguments(context, keeps_progress=False),
        )
        return export.write(open_rows)

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "path": self.path, "labels": self.labels}
