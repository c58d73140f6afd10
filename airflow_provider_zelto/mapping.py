"""How a metric of another service becomes one of Zelto's: as data, and without guessing."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator

from airflow_provider_zelto.arguments import LABEL_LENGTHS, Arguments, boolean, one_of, refuse, text, uuid
from airflow_provider_zelto.exceptions import FieldError, InvalidMetricError, SourceMetricError
from airflow_provider_zelto.models import NewCustomerMetric

NOTE_MAX_LENGTH = 5000
_OF_VERDICTS: Mapping[str, Callable[[Sequence[bool]], bool]] = {"all_pass": all, "any_pass": any}
_OF_NUMBERS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "mean": lambda numbers: math.fsum(numbers) / len(numbers),
    "min": min,
    "max": max,
}
_ORDERINGS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
_OPERATORS = (*_ORDERINGS, "==", "!=", "in", "not_in")


class SourceValue(NamedTuple):
    """
    One value of a metric.

    :ivar value: number, boolean or text; None where the metric was computed without one.
    :ivar why: the reasoning, or why there is no value.
    :ivar output_id: the vendor's id for it.
    :ivar is_final: False while the metric is being computed.
    """

    value: Any
    why: str | None = None
    output_id: str | None = None
    is_final: bool = True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _score_range(value: Any) -> tuple[float, float]:
    if (
        not isinstance(value, list | tuple)
        or len(value) != 2
        or not all(map(_is_number, value))
        or value[0] == value[1]
    ):
        refuse("two different numbers (low, high): the values that become 0 and 100")
    return float(value[0]), float(value[1])


def _pass_when(value: Any) -> Any:
    """Check a condition: True or False, or operators with what to compare to, all of which must hold."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, Mapping) or not value or not set(value) <= set(_OPERATORS):
        refuse(f"True, False or a dict of operators; known are {', '.join(_OPERATORS)}")
    for name, wanted in value.items():
        if name in _ORDERINGS and not _is_number(wanted):
            refuse(f"comparable: {name} needs a number")
        if name in ("in", "not_in") and (not isinstance(wanted, list | tuple) or not wanted):
            refuse(f"comparable: {name} needs a list of at least one value")
    return dict(value)


class MetricMapping(Arguments):
    """
    How one metric of another service becomes one of Zelto's.

    :ivar source: slug (Roark) or metric id (Coval).
    :ivar label: label in Zelto.
    :ivar metric_id: UUID of the Zelto metric it maps to.
    :ivar score_range: (low, high), the values that become 0 and 100; high below low inverts.
    :ivar clamp: take a value outside the range for its nearer end, instead of refusing it.
    :ivar pass_when: which values pass: ``{">=": 0.8}``, ``{"in": ["resolved"]}``, True.
    :ivar aggregate: how several values become one: ``mean``, ``min``, ``max``, ``last``, ``all_pass``,
        ``any_pass``.
    """

    source: Annotated[str, BeforeValidator(text(1, 255))]
    label: Annotated[str, BeforeValidator(text(*LABEL_LENGTHS))]
    metric_id: Annotated[str, BeforeValidator(uuid)] | None = None
    score_range: Annotated[tuple[float, float], BeforeValidator(_score_range)] | None = None
    clamp: Annotated[bool, BeforeValidator(boolean)] = False
    pass_when: Annotated[Any, BeforeValidator(_pass_when)] | None = None
    aggregate: Annotated[str, BeforeValidator(one_of(*_OF_NUMBERS, "last", *_OF_VERDICTS))] | None = None

    @classmethod
    def conflicts(cls, arguments: Mapping[str, Any]) -> list[FieldError]:
        """Refuse a mapping that gives nothing, or two things that exclude each other."""
        score, verdict = arguments.get("score_range"), arguments.get("pass_when")
        aggregate = arguments.get("aggregate")
        if score is None and verdict is None:
            return [
                FieldError("score_range and pass_when", None, "enough: at least one of the two is needed")
            ]
        if arguments.get("clamp") and score is None:
            return [FieldError("clamp", True, "of use without score_range")]
        if aggregate in _OF_VERDICTS and (verdict is None or score is not None):
            return [FieldError("aggregate", aggregate, "possible: it needs pass_when, and gives no score")]
        return []

    def apply(self, conversation_id: str, values: Sequence[SourceValue]) -> NewCustomerMetric:
        """
        Make the metric to submit.

        :param values: the metric's values, at least one, none of them None.
        :raises SourceMetricError: when the values are not as the mapping says.
        """
        if len(values) > 1 and self.aggregate is None:
            raise self._error(f"has {len(values)} values; aggregate says how they become one")
        score, verdict = self._judge([value.value for value in values])
        last = values[-1]
        return NewCustomerMetric.check(
            {
                "conversation_id": conversation_id,
                "label": self.label,
                "metric_id": self.metric_id,
                "score": score,
                "verdict": None if verdict is None else ("pass" if verdict else "fail"),
                "note": last.why[:NOTE_MAX_LENGTH] if last.why else None,
                "external_id": last.output_id,
            }
        )

    def _judge(self, values: Sequence[Any]) -> tuple[float | None, bool | None]:
        if of_verdicts := _OF_VERDICTS.get(self.aggregate or ""):
            return None, of_verdicts([self._passes(value) for value in values])
        value = values[-1]
        if len(values) > 1 and (of_numbers := _OF_NUMBERS.get(self.aggregate or "")):
            value = of_numbers([self._number(value) for value in values])
        return (
            None if self.score_range is None else self._score(value),
            None if self.pass_when is None else self._passes(value),
        )

    def _score(self, value: Any) -> float:
        low, high = self.score_range or (0.0, 100.0)
        # Rounded, because 0.29 of (0, 1) is 29 and not 28.999999999999996.
        score = round((self._number(value) - low) / (high - low) * 100, 9)
        if self.clamp:
            return min(max(score, 0.0), 100.0)
        if not 0 <= score <= 100:
            raise self._error(
                f"is {value!r}, outside its score_range {self.score_range}; clamp=True takes it"
            )
        return score

    def _number(self, value: Any) -> float:
        if not _is_number(value):
            raise self._error(f"is {value!r}, which is not a number")
        return float(value)

    def _passes(self, value: Any) -> bool:
        if isinstance(self.pass_when, bool):
            if not isinstance(value, bool):
                raise self._error(f"is {value!r}, which is neither True nor False")
            return value is self.pass_when
        operators = self.pass_when or {}
        return all(self._holds(name, wanted, value) for name, wanted in operators.items())

    def _holds(self, name: str, wanted: Any, value: Any) -> bool:
        if name in _ORDERINGS:
            return _ORDERINGS[name](self._number(value), wanted)
        found = _is_among(value, wanted if name in ("in", "not_in") else [wanted])
        return found is (name in ("in", "=="))

    def _error(self, what: str) -> SourceMetricError:
        return SourceMetricError(f"Metric {self.source!r}, to be {self.label!r} in Zelto, {what}.")


def _is_among(value: Any, wanted: Sequence[Any]) -> bool:
    # True equals 1 in Python, but not in a metric.
    return any(value == one and isinstance(value, bool) is isinstance(one, bool) for one in wanted)


def check_mappings(mappings: Any) -> list[MetricMapping]:
    """
    Validate an operator's mappings.

    :raises InvalidMetricError: naming every bad part of every mapping, and labels given twice.
    """
    if not isinstance(mappings, list | tuple) or not mappings:
        raise InvalidMetricError([FieldError("mappings", mappings, "a list of at least one mapping")])
    checked: list[MetricMapping] = []
    errors: list[FieldError] = []
    for place, mapping in enumerate(mappings):
        try:
            if not isinstance(mapping, Mapping):
                raise InvalidMetricError([FieldError("mapping", mapping, "a dict")])
            checked.append(MetricMapping.check(mapping))
        except InvalidMetricError as error:
            errors += [bad._replace(field=f"mappings[{place}].{bad.field}") for bad in error.errors]
    labels = [mapping.label for mapping in checked]
    errors += [
        FieldError("mappings", label, "allowed as label of two mappings: the second would replace the first")
        for label in sorted({label for label in labels if labels.count(label) > 1})
    ]
    if errors:
        raise InvalidMetricError(errors)
    return checked


class Skipped(NamedTuple):
    """A mapping that gave nothing to submit, and why."""

    source: str
    label: str
    reason: str


def map_metrics(
    mappings: Sequence[MetricMapping], conversation_id: str, found: Mapping[str, Sequence[SourceValue]]
) -> tuple[list[NewCustomerMetric], list[Skipped]]:
    """
    Make all metrics to submit for a call, before the first is sent.

    :param found: the values of each metric that the source has.
    :raises SourceMetricError: when a metric is not there, or not as its mapping says.
    """
    metrics: list[NewCustomerMetric] = []
    skipped: list[Skipped] = []
    for mapping in mappings:
        if mapping.source not in found:
            there = ", ".join(sorted(found)) or "none"
            raise SourceMetricError(
                f"There is no metric {mapping.source!r}, to be {mapping.label!r} in Zelto; found: {there}. "
                "A metric that is still being computed is not there yet: wait for it with a sensor."
            )
        if unfinished := [value for value in found[mapping.source] if not value.is_final]:
            raise SourceMetricError(
                f"Metric {mapping.source!r}, to be {mapping.label!r} in Zelto, is still being computed: "
                f"{unfinished[0].why}. Wait for it with a sensor."
            )
        values = [value for value in found[mapping.source] if value.value is not None]
        if values:
            metrics.append(mapping.apply(conversation_id, values))
        else:
            why = next((value.why for value in found[mapping.source] if value.why), "no value")
            skipped.append(Skipped(mapping.source, mapping.label, why))
    return metrics, skipped
