"""What a function's return value means: which metrics are to be submitted, without any I/O."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

from pydantic.alias_generators import to_camel

from airflow_provider_zelto.arguments import Arguments, ExternalId, Label, Uuid
from airflow_provider_zelto.exceptions import FieldError, InvalidMetricError
from airflow_provider_zelto.models import NewCustomerMetric

_MEANING = (
    "a number (the score), True or False (the verdict), a dict of a metric's fields or a list of such dicts; "
    "raise AirflowSkipException to submit nothing"
)


class MetricDefaults(Arguments):
    """The fields of a metric that the decorator may be given, for values that do not bring their own."""

    conversation_id: Uuid | None = None
    label: Label | None = None
    metric_id: Uuid | None = None
    external_id: ExternalId | None = None


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
    metrics: dict[tuple[str, str], NewCustomerMetric] = {}
    errors: list[FieldError] = []
    for position, one in enumerate(returned):
        try:
            if not isinstance(one, Mapping):
                raise InvalidMetricError([FieldError("value", one, "a dict of a metric's fields")])
            metric = NewCustomerMetric.check(_fields(one, defaults))
            record = (metric.conversation_id, metric.label)
            if record in metrics:
                limit = "a label of its own: an earlier one of the list has it, and the last would win"
                raise InvalidMetricError([FieldError("label", metric.label, limit)])
            metrics[record] = metric
        except InvalidMetricError as error:
            errors += [bad._replace(field=f"[{position}] {bad.field}") for bad in error.errors]
    if errors:
        raise InvalidMetricError(errors)
    return list(metrics.values())


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
