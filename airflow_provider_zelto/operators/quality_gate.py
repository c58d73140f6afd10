"""The operator that decides by the metrics of calls how the pipeline goes on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_zelto.calls import read_calls
from airflow_provider_zelto.exceptions import QualityGateError
from airflow_provider_zelto.gate import Gate, GateReport, explain, explain_condition
from airflow_provider_zelto.operators.base import BatchOperator
from airflow_provider_zelto.reading import GateOptions, GateReading

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class CustomerMetricsCheckOperator(BatchOperator):
    """
    Let a pipeline go on only if the metrics of its calls are good enough; otherwise fail or skip.

    All conditions that are given must hold, and missing data breaks one too: too few metrics, a label without
    any, a metric without the verdict or score that a condition needs, a call without metrics or that Zelto
    does not know. Of a call's metrics of one label the one updated last counts. API page: "List a call's
    customer metrics".

    :param metrics: the metrics to judge: the XCom of a submit, list or wait task, or of such tasks mapped, or
        a list of metrics as Zelto stores them (templated). Either this or ``conversation_ids``.
    :param conversation_ids: calls whose metrics are read and judged: list of UUIDs, or the URI of a text file
        with one a line (templated).
    :param expected_calls: beside ``metrics``: the calls that are to have them, in the same form (templated).
    :param label: the one label that counts (templated). It is rendered as ``metric_label``.
    :param labels: list of the labels that count (templated). Default: all.
    :param updated_after: only metrics whose ``updatedAt`` is this time or later count (templated): an aware
        datetime or ISO 8601 text, UTC where it has no offset. Default: every metric counts.
    :param min_pass_rate: share of the verdicts that must be pass, 0–1 (templated).
    :param max_fail_count: how many verdicts may be fail (templated).
    :param min_mean_score: what the mean of the scores must reach, 0–100 (templated).
    :param min_score: what every score must reach, 0–100 (templated).
    :param min_samples: how many verdicts, and scores, the conditions on them must rest on; without such a
        condition, how many metrics (templated). Default: 1.
    :param min_coverage: share of the calls that must have each of the labels, or any metric where no label is
        given, 0–1 (templated). Needs ``conversation_ids`` or ``expected_calls``. Default: 1.0 where the calls
        are known.
    :param max_without_value: how many metrics may lack the verdict or score that a condition needs; None for
        any number (templated). Default: 0.
    :param on_failure: ``fail`` to fail without a retry, or ``skip`` to skip this task and those downstream.
        Default: ``fail``.
    :param concurrency: how many calls are read at once, 1–256. Default: 16.
    :param max_requests_per_second: at most so many requests start in a second. Default: no limit.
    :param rejects_path: where calls that could not be read are written as JSON Lines with ``row_number``,
        ``row`` (the id) and ``reason`` (templated). Default: nowhere.
    :param zelto_conn_id: id of the connection, used with ``conversation_ids`` (templated).
        Default: ``zelto_default``.
    :return: XCom, whether or not the gate is passed: ``passed``, ``conditions`` (each with ``condition``,
        ``asked``, ``found``, ``missed_by``, ``holds`` and ``details``), ``samples``, ``passes``, ``fails``,
        ``without_verdict``, ``without_score``, ``outdated``, ``calls``, ``covered``, ``missing_calls`` (at
        most 20), ``not_read`` and ``worst_calls`` (at most 10).
    :raises QualityGateError: when a condition does not hold; the task is not retried.
    :raises AirflowSkipException: the same, with ``on_failure="skip"``.
    :raises InvalidMetricError: when an argument is wrong; the task is not retried.
    :raises APIError: what stopped the reading.
    """

    template_fields: Sequence[str] = (
        "metrics",
        "conversation_ids",
        "expected_calls",
        # Airflow keeps a task's own name in "label": a template field of that name breaks the stored DAG.
        "metric_label",
        "labels",
        "updated_after",
        "min_pass_rate",
        "max_fail_count",
        "min_mean_score",
        "min_score",
        "min_samples",
        "min_coverage",
        "max_without_value",
        "rejects_path",
        "zelto_conn_id",
    )
    ui_color = "#f6ecd0"

    def __init__(
        self,
        *,
        metrics: Collection[Any] | None = None,
        conversation_ids: Collection[str] | str | None = None,
        expected_calls: Collection[str] | str | None = None,
        label: str | None = None,
        labels: Sequence[str] | None = None,
        updated_after: datetime | str | None = None,
        min_pass_rate: float | str | None = None,
        max_fail_count: int | str | None = None,
        min_mean_score: float | str | None = None,
        min_score: float | str | None = None,
        min_samples: int | str = 1,
        min_coverage: float | str | None = None,
        max_without_value: int | str | None = 0,
        on_failure: str = "fail",
        **kwargs: Any,
    ) -> None:
        # How many calls may lack metrics is what min_coverage says.
        super().__init__(max_rejects=None, **kwargs)
        self.metrics = metrics
        self.conversation_ids = conversation_ids
        self.expected_calls = expected_calls
        self.metric_label = label
        self.labels = labels
        self.updated_after = updated_after
        self.min_pass_rate = min_pass_rate
        self.max_fail_count = max_fail_count
        self.min_mean_score = min_mean_score
        self.min_score = min_score
        self.min_samples = min_samples
        self.min_coverage = min_coverage
        self.max_without_value = max_without_value
        self.on_failure = on_failure
        GateOptions.check_literals(self._options())

    def execute(self, context: Context) -> GateReport:
        """Judge the metrics; return the report when all conditions hold."""
        options = GateOptions.check(self._options())
        report = self._judge(options, context)
        for condition in report["conditions"]:
            say = self.log.info if condition["holds"] else self.log.warning
            say("%s %s.", "Holds:" if condition["holds"] else "Does not hold:", explain_condition(condition))
        if report["passed"]:
            return report
        if self.do_xcom_push:
            # What is not returned is not in XCom, and this is when people want to see it.
            context["ti"].xcom_push(key="return_value", value=report)
        message = f"The quality gate is not passed. {explain(report)}"
        if options.on_failure == "fail":
            raise QualityGateError(message)
        self.log.warning(message)  # Airflow keeps to itself why a task was skipped
        raise AirflowSkipException(message)

    def _judge(self, options: GateOptions, context: Context) -> GateReport:
        if options.conversation_ids is None:
            expected = options.expected_calls
            calls = None if expected is None else read_calls(expected, field="expected_calls")
            return options.judge(options.metrics or (), calls)
        calls = read_calls(options.conversation_ids)
        self._batch_run = reading = GateReading(
            options, total=len(calls), **self._run_arguments(context, keeps_progress=False)
        )
        samples = reading.read(calls)
        return options.judge(samples, calls, not_read=reading.rejected)

    def _options(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in Gate.model_fields if name != "label"}
        return {**super()._options(), **own, "label": self.metric_label}
