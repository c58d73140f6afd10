"""How a metric of another service becomes one of Zelto's: as data, and without guessing."""

from __future__ import annotations

import operator
import statistics
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator

from airflow_provider_zelto.arguments import (
    NATIVE_HINT,
    Arguments,
    Label,
    Uuid,
    boolean,
    is_templated,
    one_of,
    refuse,
    text,
)
from airflow_provider_zelto.exceptions import FieldError, InvalidMetricError, SourceMetricError
from airflow_provider_zelto.models import NOTE_MAX_LENGTH, NewCustomerMetric

_OF_VERDICTS = ("all_pass", "any_pass")
_AGGREGATES = ("mean", "min", "max", "last", *_OF_VERDICTS)
_ORDERINGS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
_OF_LISTS = ("in", "not_in")
_OPERATORS = (*_ORDERINGS, "==", "!=", *_OF_LISTS)


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


def _kind(value: Any) -> str | None:
    """Tell what a value is, or None for what nothing can be compared to: NaN, an object, a list."""
    # True equals 1 in Python, but not in a metric.
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float) and abs(value) <= sys.float_info.max:
        return "a number"
    return "text" if isinstance(value, str) else None


def _is_number(value: Any) -> bool:
    return _kind(value) == "a number"


def _score_range(value: Any) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(_is_number, value)):
        refuse("two numbers (low, high): the values that become 0 and 100")
    low, high = map(float, value)
    if not 0 < abs(high - low) <= sys.float_info.max:
        refuse("a range to calculate with: its ends (low, high) are the same, or too far apart")
    return low, high


def _pass_when(value: Any) -> dict[str, Any]:
    """Take operators with what to compare to, all of which must hold, or True or False, to be equal to."""
    if isinstance(value, bool):
        return {"==": value}
    if not isinstance(value, Mapping) or not value or not set(value) <= set(_OPERATORS):
        refuse(f"True, False or a dict of operators; known are {', '.join(_OPERATORS)}")
    for name, wanted in value.items():
        if name in _ORDERINGS:
            fits, needed = _is_number(wanted), "a number"
        elif name in _OF_LISTS:
            fits = isinstance(wanted, list | tuple) and bool(wanted) and None not in map(_kind, wanted)
            needed = "a list of at least one number, text or boolean"
        else:
            fits, needed = _kind(wanted) is not None, "a number, text or boolean"
        if not fits:
            refuse(f"comparable: {name} needs {needed}")
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
        ``any_pass``. Note and external id are those of the value that decides; with ``mean`` of the last.
    """

    source: Annotated[str, BeforeValidator(text(1, 255))]
    label: Label
    metric_id: Uuid | None = None
    score_range: Annotated[tuple[float, float], BeforeValidator(_score_range)] | None = None
    clamp: Annotated[bool, BeforeValidator(boolean)] = False
    pass_when: Annotated[dict[str, Any], BeforeValidator(_pass_when)] | None = None
    aggregate: Annotated[str, BeforeValidator(one_of(*_AGGREGATES))] | None = None

    @classmethod
    def conflicts(cls, arguments: Mapping[str, Any]) -> list[FieldError]:
        """Refuse a mapping that gives nothing, or two things that exclude each other."""
        score, verdict = arguments.get("score_range"), arguments.get("pass_when")
        aggregate = arguments.get("aggregate")
        if score is None and verdict is None:
            return [
                FieldError("score_range and pass_when", None, "enough: at least one of the two is needed")
            ]
        if arguments.get("clamp") in (True, "True") and score is None:
            return [FieldError("clamp", True, "of use without score_range")]
        if aggregate in _OF_VERDICTS and (verdict is None or score is not None):
            return [FieldError("aggregate", aggregate, "possible: it needs pass_when, and gives no score")]
        return []

    def apply(self, conversation_id: str, values: Sequence[SourceValue]) -> NewCustomerMetric:
        """
        Make the metric to submit.

        :param conversation_id: UUID of the call in Zelto.
        :param values: the metric's values, at least one, none of them None.
        :raises SourceMetricError: when the values are not as the mapping says.
        """
        taken = values[0] if len(values) == 1 else self._take(values)
        score = None if self.score_range is None else self._score(taken.value, *self.score_range)
        passes = None if self.pass_when is None else self._passes(taken.value, self.pass_when)
        return NewCustomerMetric.check(
            {
                "conversation_id": conversation_id,
                "label": self.label,
                "metric_id": self.metric_id,
                "score": score,
                "verdict": None if passes is None else "pass" if passes else "fail",
                "note": _note(taken.why),
                "external_id": taken.output_id,
            }
        )

    def _take(self, values: Sequence[SourceValue]) -> SourceValue:
        """Give the value that stands for all of them, so that its reasoning is that of the result."""
        if self.aggregate is None:
            raise self._error(f"has {len(values)} values; aggregate says how they become one")
        if self.aggregate in _OF_VERDICTS:
            verdicts = [self._passes(value.value, self.pass_when or {}) for value in values]
            decisive = self.aggregate == "any_pass"
            return values[verdicts.index(decisive)] if decisive in verdicts else values[-1]
        if self.aggregate == "last":
            return values[-1]
        numbers = [self._number(value.value) for value in values]
        if self.aggregate == "mean":
            # Nobody's value: it goes with the reasoning of the last.
            return values[-1]._replace(value=statistics.mean(numbers))
        extreme = min if self.aggregate == "min" else max
        return values[numbers.index(extreme(numbers))]

    def _score(self, value: Any, low: float, high: float) -> float:
        number = self._number(value)
        inside = min(max(number, min(low, high)), max(low, high))
        if number != inside and not self.clamp:
            raise self._error(
                f"is {value!r:.100}, outside its score_range {self.score_range}; clamp=True takes it"
            )
        # Rounded, because 0.29 of (0, 1) is 29 and not 28.999999999999996.
        return round((inside - low) / (high - low) * 100, 9)

    def _number(self, value: Any) -> float:
        self._expect(value, ["a number"])
        return float(value)

    def _passes(self, value: Any, operators: Mapping[str, Any]) -> bool:
        held = [self._holds(name, wanted, value) for name, wanted in operators.items()]
        return all(held)

    def _holds(self, name: str, wanted: Any, value: Any) -> bool:
        if name in _ORDERINGS:
            return _ORDERINGS[name](self._number(value), wanted)
        choices = wanted if name in _OF_LISTS else [wanted]
        kinds = [_kind(choice) for choice in choices]
        # No text is among numbers: a verdict on it would say nothing of the call.
        self._expect(value, kinds)
        found = (value, _kind(value)) in zip(choices, kinds, strict=True)
        return found is (name in ("in", "=="))

    def _expect(self, value: Any, kinds: Collection[str | None]) -> None:
        if _kind(value) not in kinds:
            wanted = " or ".join(sorted(map(str, set(kinds))))
            raise self._error(f"is {value!r:.100}, which is not {wanted}")

    def _error(self, what: str) -> SourceMetricError:
        return SourceMetricError(f"Metric {self.source!r}, to be {self.label!r} in Zelto, {what}.")


def _note(why: Any) -> str | None:
    return why[:NOTE_MAX_LENGTH] if isinstance(why, str) and why else None


def check_mappings(mappings: Any, *, literals_only: bool = False) -> list[MetricMapping]:
    """
    Validate an operator's mappings.

    :param mappings: list of dicts, each the arguments of a :class:`MetricMapping`.
    :param literals_only: leave out what is only known once the task runs.
    :raises InvalidMetricError: naming every bad part of every mapping, and labels given twice.
    """
    if literals_only and not isinstance(mappings, list | tuple) and is_templated(mappings):
        return []
    if not isinstance(mappings, list | tuple) or not mappings:
        raise InvalidMetricError(
            [FieldError("mappings", mappings, f"a list of at least one mapping{NATIVE_HINT}")]
        )
    checked: list[MetricMapping] = []
    errors: list[FieldError] = []
    for place, mapping in enumerate(mappings):
        try:
            if literals_only and is_templated(mapping):
                _check_literals(mapping)
            else:
                checked.append(MetricMapping.check(_as_dict(mapping)))
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


def _check_literals(mapping: Any) -> None:
    if isinstance(mapping, Mapping):
        MetricMapping.check_literals(mapping)


def _as_dict(mapping: Any) -> Mapping[str, Any]:
    if not isinstance(mapping, Mapping):
        raise InvalidMetricError([FieldError("mapping", mapping, "a dict")])
    return mapping


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

    :param mappings: the mappings, validated.
    :param conversation_id: UUID of the call in Zelto.
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
            skipped.append(Skipped(mapping.source, mapping.label, str(why)))
    return metrics, skipped
