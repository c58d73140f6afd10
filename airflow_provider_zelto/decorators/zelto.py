"""``@task.zelto_metric``: a function whose return value is submitted to Zelto."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Annotated, Any

from airflow.providers.common.compat.sdk import (
    DecoratedOperator,
    context_merge,
    determine_kwargs,
    task_decorator_factory,
)
from pydantic import BeforeValidator
from pydantic.alias_generators import to_camel

from airflow_provider_zelto.arguments import LABEL_LENGTHS, Arguments, text, uuid
from airflow_provider_zelto.exceptions import FieldError, InvalidMetricError
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.links import CallLink
from airflow_provider_zelto.models import CustomerMetric, NewCustomerMetric
from airflow_provider_zelto.operators.base import submit_metrics

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, TaskDecorator

_MEANING = (
    "a number (the score), True or False (the verdict), a dict of a metric's fields or a list of such dicts; "
    "raise AirflowSkipException to submit nothing"
)


class MetricDefaults(Arguments):
    """The fields of a metric that the decorator may be given, for values that do not bring their own."""

    conversation_id: Annotated[str, BeforeValidator(uuid)] | None = None
    label: Annotated[str, BeforeValidator(text(*LABEL_LENGTHS))] | None = None
    metric_id: Annotated[str, BeforeValidator(uuid)] | None = None
    external_id: Annotated[str, BeforeValidator(text(0, 255))] | None = None


def metrics_of(returned: Any, defaults: Mapping[str, Any]) -> list[NewCustomerMetric]:
    """
    Say which metrics a function's return value means.

    :param returned: a number, True or False, a dict, or a list of dicts; numbers and booleans of numpy count
        as Python's own.
    :param defaults: fields for every metric that does not bring its own.
    :raises InvalidMetricError: naming all that is wrong, with the place in a list.
    """
    if not isinstance(returned, list | tuple):
        return [NewCustomerMetric.check(_fields(returned, defaults))]
    if not returned:
        raise InvalidMetricError([FieldError("return value", returned, _MEANING)])
    metrics: list[NewCustomerMetric] = []
    errors: list[FieldError] = []
    for position, one in enumerate(returned):
        try:
            if not isinstance(one, Mapping):
                raise InvalidMetricError([FieldError("value", one, "a dict of a metric's fields")])
            metric = NewCustomerMetric.check(_fields(one, defaults))
            if any(_same_record(metric, other) for other in metrics):
                limit = "a label of its own: an earlier one of the list has it, and the last would win"
                raise InvalidMetricError([FieldError("label", metric.label, limit)])
            metrics.append(metric)
        except InvalidMetricError as error:
            errors += [bad._replace(field=f"[{position}] {bad.field}") for bad in error.errors]
    if errors:
        raise InvalidMetricError(errors)
    return metrics


def _same_record(one: NewCustomerMetric, other: NewCustomerMetric) -> bool:
    return (one.conversation_id, one.label) == (other.conversation_id, other.label)


def _fields(value: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    value = _plain(value)
    if isinstance(value, Mapping):
        own = {name: _plain(field) for name, field in value.items() if field is not None}
        if isinstance(own.get("verdict"), bool):
            own["verdict"] = _verdict(own["verdict"])
    elif isinstance(value, bool):
        own = {"verdict": _verdict(value)}
    elif isinstance(value, Real | Decimal):
        own = {"score": value}
    else:
        raise InvalidMetricError([FieldError("return value", value, _MEANING)])
    missing = {
        name: default
        for name, default in defaults.items()
        if default is not None and own.keys().isdisjoint({name, to_camel(name)})
    }
    return {**missing, **own}


def _verdict(passed: bool) -> str:
    return "pass" if passed else "fail"


def _plain(value: Any) -> Any:
    """Take the number or boolean out of a scalar of numpy, pandas or a tensor library."""
    if not hasattr(value, "dtype") or not hasattr(value, "item"):
        return value
    try:
        return value.item()
    except (TypeError, ValueError, RuntimeError):  # more than one element
        return value


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
