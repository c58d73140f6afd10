"""``@task.zelto_metric``: a function whose return value is submitted to Zelto."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    DecoratedOperator,
    context_merge,
    determine_kwargs,
    task_decorator_factory,
)

from airflow_provider_zelto.exceptions import FieldError, InvalidMetricError
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.links import CallLink
from airflow_provider_zelto.models import CustomerMetric
from airflow_provider_zelto.operators.base import submit_metrics
from airflow_provider_zelto.returned import MetricDefaults, metrics_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, TaskDecorator


class ZeltoMetricDecoratedOperator(DecoratedOperator):
    """
    Call a function and submit what it returns; made by ``@task.zelto_metric``.

    A number is the score, True or False the verdict; a dict has fields named as the arguments of
    :class:`~airflow_provider_zelto.operators.zelto.SubmitCustomerMetricOperator` or as in the API; a list of
    dicts, each with a label of its own, is several metrics. What a dict brings comes before what the
    decorator was given. Everything is validated before the first metric is sent. API page:
    "Submit a customer metric".

    :param python_callable: the function.
    :param op_args: positional arguments for it (templated).
    :param op_kwargs: keyword arguments for it, beside what it takes from the context (templated).
    :param conversation_id: UUID of the call (templated). Default: each dict brings it.
    :param label: the customer's name for the metric, 1–255 characters (templated, and rendered as
        ``metric_label``). Default: each dict brings it.
    :param metric_id: UUID of the Zelto metric this one maps to (templated).
    :param external_id: the customer's own id for the record, at most 255 characters (templated).
    :param zelto_conn_id: id of the connection (templated). Default: ``zelto_default``.
    :return: XCom: the metric as Zelto stored it, with a key of its own for each field under
        ``multiple_outputs=True``; for a list the list of them.
    :raises InvalidMetricError: naming all that is wrong with the arguments or the returned value; the task is
        not retried.
    :raises APIError: when a request fails, after repeating it where that can help.
    """

    custom_operator_name = "@task.zelto_metric"
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        "conversation_id",
        # Airflow keeps a task's own name in "label": a template field of that name breaks the stored DAG.
        "metric_label",
        "metric_id",
        "external_id",
        "zelto_conn_id",
    )
    ui_color = "#d9efe6"
    operator_extra_links = (CallLink(),)

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        conversation_id: str | None = None,
        label: str | None = None,
        metric_id: str | None = None,
        external_id: str | None = None,
        zelto_conn_id: str = ZeltoHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, **kwargs)
        self.conversation_id = conversation_id
        self.metric_label = label
        self.metric_id = metric_id
        self.external_id = external_id
        self.zelto_conn_id = zelto_conn_id
        MetricDefaults.check_literals(self._defaults())

    def execute(self, context: Context) -> CustomerMetric | list[CustomerMetric]:
        """Call the function, submit what it returns, and return what Zelto stored."""
        returned = self._call(context)
        if self.multiple_outputs and isinstance(returned, list | tuple):
            # Airflow would refuse it too, but only after the metrics are stored.
            limit = "one metric: several have no keys that multiple_outputs=True could spread"
            raise InvalidMetricError([FieldError("return value", returned, limit)])
        metrics = metrics_of(returned, self._defaults())
        if len(metrics) == 1:
            self.conversation_id = metrics[0].conversation_id  # for the link, where the value brought it
        stored = submit_metrics(self, context, self.zelto_conn_id, metrics)
        return stored if isinstance(returned, list | tuple) else stored[0]

    def _call(self, context: Context) -> Any:
        context_merge(context, self.op_kwargs)
        kwargs = determine_kwargs(self.python_callable, self.op_args, context)
        returned = self.python_callable(*self.op_args, **kwargs)
        return asyncio.run(returned) if inspect.iscoroutine(returned) else returned

    def _defaults(self) -> dict[str, Any]:
        return {
            "conversation_id": self.conversation_id,
            "label": self.metric_label,
            "metric_id": self.metric_id,
            "external_id": self.external_id,
        }


def zelto_metric_task(
    python_callable: Callable[..., Any] | None = None,
    multiple_outputs: bool | None = None,
    **kwargs: Any,
) -> TaskDecorator:
    """
    Make a task that submits what a function returns; DAGs reach it as ``@task.zelto_metric``.

    :param python_callable: the function.
    :param multiple_outputs: give each field of the stored metric an XCom key of its own. Default: only when
        the function is annotated to return a dict.
    :param kwargs: the arguments of :class:`ZeltoMetricDecoratedOperator`, and those of every operator.
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=ZeltoMetricDecoratedOperator,
        **kwargs,
    )
