"""What a quality gate decides, without any I/O: whether metrics are good enough, and why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from statistics import mean
from typing import Annotated, Any, TypedDict

from pydantic import BeforeValidator, PlainValidator

from airflow_provider_zelto.arguments import (
    Arguments,
    Label,
    OptionalNames,
    PointInTime,
    count,
    number,
    one_of,
)
from airflow_provider_zelto.calls import CALLS_NAMED, Calls, call_ids, named
from airflow_provider_zelto.exceptions import FieldError
from airflow_provider_zelto.samples import Sample, latest, optional_samples

WORST_CALLS = 10
_OF_VERDICTS = ("min_pass_rate", "max_fail_count")
_OF_SCORES = ("min_mean_score", "min_score")
_CONDITIONS = (*_OF_VERDICTS, *_OF_SCORES, "min_coverage")


class ConditionReport(TypedDict):
    """
    One condition of a gate, for XCom.

    ``condition``: its name. ``asked``: its limit. ``found``: what was found, None when there was nothing to
    judge. ``missed_by``: by how much, None when it holds or there was nothing to judge. ``holds``: whether it
    does. ``details``: what was found, in words.
    """

    condition: str
    asked: Any
    found: Any
    missed_by: Any
    holds: bool
    details: str


class BadCall(TypedDict):
    """One of the worst calls: its id, the labels with the verdict fail, and its lowest score."""

    conversation_id: str
    failed: list[str]
    lowest_score: float | None


class GateReport(TypedDict):
    """
    What a gate decided, and why, for XCom.

    ``passed``: whether all conditions hold. ``conditions``: each of them. ``samples``: how many metrics
    count. ``passes``, ``fails``: how many of them have that verdict. ``without_verdict``, ``without_score``:
    how many have none. ``outdated``: metrics left out because they are older than ``updated_after``.
    ``calls``, ``covered``: how many calls were to have the metrics, and have them; None when the calls are
    not known. ``missing_calls``: ids of at most 20 that have not. ``not_read``: how many calls could not be
    read, because Zelto does not know them. ``worst_calls``: at most 10 calls with a verdict or score that is
    not good enough, worst first.
    """

    passed: bool
    conditions: list[ConditionReport]
    samples: int
    passes: int
    fails: int
    without_verdict: int
    without_score: int
    outdated: int
    calls: int | None
    covered: int | None
    missing_calls: list[str]
    not_read: int
    worst_calls: list[BadCall]


def explain_condition(condition: ConditionReport) -> str:
    """Say of a condition what was asked, what was found, and by how much it was missed."""
    missed = f", missed by {_shown(condition['missed_by'])}" if condition["missed_by"] is not None else ""
    asked, found = _shown(condition["asked"]), _shown(condition["found"])
    return f"{condition['condition']}: asked {asked}, found {found}{missed} ({condition['details']})"


def explain(report: GateReport) -> str:
    """Say which conditions do not hold, and name the worst calls."""
    broken = (condition for condition in report["conditions"] if not condition["holds"])
    words = "; ".join(map(explain_condition, broken))
    if worst := "; ".join(map(_explain_call, report["worst_calls"])):
        words += f". Worst calls: {worst}"
    return f"{words}."


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return ", ".join(map(repr, value)) or "nothing"
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _explain_call(call: BadCall) -> str:
    told = [f"fail in {', '.join(map(repr, call['failed']))}"] if call["failed"] else []
    told += [] if call["lowest_score"] is None else [f"lowest score {call['lowest_score']:g}"]
    return f"{call['conversation_id']} ({', '.join(told)})"


class Gate(Arguments):
    """
    The conditions of a quality gate, and what they are asked of; limits are those of the operator.

    :ivar metrics: what counts, or None to read it.
    :ivar conversation_ids: the calls to read, or the URI of a file that names them.
    :ivar expected_calls: beside ``metrics``: the calls that are to have them.
    :ivar label: the only label that counts.
    :ivar labels: the labels that count; None for all.
    """

    metrics: Annotated[tuple[Sample, ...] | None, PlainValidator(optional_samples)] = None
    conversation_ids: Annotated[Calls, BeforeValidator(call_ids(0))] | None = None
    expected_calls: Annotated[Calls, BeforeValidator(call_ids(0))] | None = None
    label: Label | None = None
    labels: OptionalNames = None
    updated_after: PointInTime = None
    min_pass_rate: Annotated[float, BeforeValidator(number(0, 1))] | None = None
    max_fail_count: Annotated[int, BeforeValidator(count(0))] | None = None
    min_mean_score: Annotated[float, BeforeValidator(number(0, 100))] | None = None
    min_score: Annotated[float, BeforeValidator(number(0, 100))] | None = None
    min_samples: Annotated[int, BeforeValidator(count(1))] = 1
    min_coverage: Annotated[float, BeforeValidator(number(0, 1))] | None = None
    max_without_value: Annotated[int, BeforeValidator(count(0))] | None = 0
    on_failure: Annotated[str, BeforeValidator(one_of("fail", "skip"))] = "fail"

    @classmethod
    def conflicts(cls, arguments: Mapping[str, Any]) -> list[FieldError]:
        """Refuse a gate that asks nothing, and one that is asked of nothing or of two things."""
        given = {name for name, value in arguments.items() if value is not None}
        errors = []
        if len(given & {"metrics", "conversation_ids"}) != 1:
            which = "both" if "metrics" in given else None
            errors.append(FieldError("metrics or conversation_ids", which, "right: give one of the two"))
        if {"label", "labels"} <= given:
            errors.append(FieldError("label or labels", "both", "right: give one of the two"))
        if "expected_calls" in given and "conversation_ids" in given:
            limit = "needed: the calls to be covered are conversation_ids"
            errors.append(FieldError("expected_calls", arguments["expected_calls"], limit))
        if "min_coverage" in given and not given & {"conversation_ids", "expected_calls"}:
            limit = "possible without the calls that are to have metrics: give expected_calls beside metrics"
            errors.append(FieldError("min_coverage", arguments["min_coverage"], limit))
        if given.isdisjoint(_CONDITIONS):
            errors.append(FieldError("conditions", None, f"enough: give one of {', '.join(_CONDITIONS)}"))
        return errors

    @property
    def wanted(self) -> frozenset[str] | None:
        """The labels that count; None for all."""
        return self.labels if self.label is None else frozenset({self.label})

    def judge(
        self, samples: Iterable[Sample], calls: Collection[str] | None = None, not_read: int = 0
    ) -> GateReport:
        """
        Decide.

        :param samples: the metrics; of a call's metrics of one label the one updated last counts.
        :param calls: the calls that are to have the metrics; None when they are not known.
        :param not_read: how many of them could not be read.
        """
        wanted = self.wanted
        named_so = [sample for sample in latest(samples) if wanted is None or sample.label in wanted]
        counted = [
            sample
            for sample in named_so
            if self.updated_after is None or sample.updated_at >= self.updated_after
        ]
        missing = None if calls is None else self._missing(counted, calls)
        checks = list(_Judgement(self, counted, calls, missing).checks())
        verdicts = Counter(sample.verdict for sample in counted)
        return {
            "passed": all(check["holds"] for check in checks),
            "conditions": checks,
            "samples": len(counted),
            "passes": verdicts["pass"],
            "fails": verdicts["fail"],
            "without_verdict": verdicts[None],
            "without_score": sum(sample.score is None for sample in counted),
            "outdated": len(named_so) - len(counted),
            "calls": None if calls is None else len(calls),
            "covered": None if calls is None or missing is None else len(calls) - len(missing),
            "missing_calls": (missing or [])[:CALLS_NAMED],
            "not_read": not_read,
            "worst_calls": self._worst(counted)[:WORST_CALLS],
        }

    def asks(self, conditions: Iterable[str]) -> bool:
        """Tell whether one of these conditions is given."""
        return any(getattr(self, name) is not None for name in conditions)

    def _missing(self, counted: Iterable[Sample], calls: Iterable[str]) -> list[str]:
        wanted, labels = self.wanted or frozenset(), {call: set[str]() for call in calls}
        for sample in counted:
            if sample.call in labels:
                labels[sample.call].add(sample.label)
        return [call for call, found in labels.items() if not found or not wanted <= found]

    def _worst(self, counted: Iterable[Sample]) -> list[BadCall]:
        """Give the calls with a verdict or score that a condition minds, worst first."""
        lowest = max(self.min_score or 0, self.min_mean_score or 0)
        minds_verdicts = self.asks(_OF_VERDICTS)
        calls: dict[str, BadCall] = {}
        for sample in counted:
            failed = minds_verdicts and sample.verdict == "fail"
            low = sample.score is not None and sample.score < lowest
            if failed or low:
                call = calls.setdefault(
                    sample.call, {"conversation_id": sample.call, "failed": [], "lowest_score": None}
                )
                call["failed"] += [sample.label] if failed else []
                scores = [score for score in (call["lowest_score"], sample.score) if score is not None]
                call["lowest_score"] = min(scores, default=None)

        def badness(call: BadCall) -> tuple[float, float, str]:
            score = call["lowest_score"]
            return -len(call["failed"]), 101 if score is None else score, call["conversation_id"]

        return sorted(calls.values(), key=badness)


class _Judgement:
    """The conditions of a gate, each compared with what was found."""

    def __init__(
        self,
        gate: Gate,
        counted: list[Sample],
        calls: Collection[str] | None,
        missing: list[str] | None,
    ) -> None:
        self.gate = gate
        self.counted = counted
        self.calls = calls
        self.missing = missing
        self.verdicts = [sample.verdict for sample in counted if sample.verdict is not None]
        self.scores = [sample.score for sample in counted if sample.score is not None]

    def checks(self) -> Iterator[ConditionReport]:
        """Give the conditions that were asked for, and those that guard them."""
        passes, fails = self.verdicts.count("pass"), self.verdicts.count("fail")
        of_verdicts = f"{passes} of {len(self.verdicts)} verdicts are pass"
        rate = passes / len(self.verdicts) if self.verdicts else None
        yield from self._at_least("min_pass_rate", rate, of_verdicts)
        yield from self._at_most("max_fail_count", fails if self.verdicts else None, of_verdicts)
        of_scores = f"{len(self.scores)} scores"
        if self.scores:
            of_scores += f" from {min(self.scores):g} to {max(self.scores):g}"
        # Exact, for else the mean of many scores of 70.1 could lie below 70.1.
        middle = float(mean(self.scores)) if self.scores else None
        yield from self._at_least("min_mean_score", middle, of_scores)
        yield from self._at_least("min_score", min(self.scores, default=None), of_scores)
        yield from self._guards()

    def _guards(self) -> Iterator[ConditionReport]:
        gate = self.gate
        of_verdicts, of_scores = gate.asks(_OF_VERDICTS), gate.asks(_OF_SCORES)
        with_verdict, with_score, all_of_them = len(self.verdicts), len(self.scores), len(self.counted)
        basis = f"{all_of_them} metrics, {with_verdict} with a verdict, {with_score} with a score"
        fewest = min(
            all_of_them,
            with_verdict if of_verdicts else all_of_them,
            with_score if of_scores else all_of_them,
        )
        yield from self._at_least("min_samples", fewest, basis)
        without = [
            sample
            for sample in self.counted
            if (of_verdicts and sample.verdict is None) or (of_scores and sample.score is None)
        ]
        lacking = "; ".join(f"{sample.label!r} of call {sample.call}" for sample in without[:5])
        more = f" and {len(without) - 5} more" if len(without) > 5 else ""
        yield from self._at_most(
            "max_without_value",
            len(without),
            f"without a verdict or score that a condition needs: {lacking or 'none'}{more}",
        )
        if gate.wanted is not None:
            yield self._labels(gate.wanted)
        if self.calls is not None and self.missing is not None:
            yield from self._coverage(self.calls, self.missing)

    def _labels(self, wanted: frozenset[str]) -> ConditionReport:
        found = {sample.label for sample in self.counted}
        lacking = sorted(wanted - found)
        return {
            "condition": "labels",
            "asked": sorted(wanted),
            "found": sorted(found),
            "missed_by": lacking or None,
            "holds": not lacking,
            "details": f"no metric has the label {', '.join(map(repr, lacking))}"
            if lacking
            else "all are there",
        }

    def _coverage(self, calls: Collection[str], missing: list[str]) -> Iterator[ConditionReport]:
        share = (len(calls) - len(missing)) / len(calls) if calls else None
        told = f"{len(calls) - len(missing)} of {len(calls)} calls have the metrics"
        if missing:
            told += f"; missing: {named(missing, len(missing))}"
        asked = 1.0 if self.gate.min_coverage is None else self.gate.min_coverage
        yield _report("min_coverage", asked, share, None if share is None else asked - share, told)

    def _at_least(self, name: str, found: float | None, details: str) -> Iterator[ConditionReport]:
        asked = getattr(self.gate, name)
        if asked is not None:
            yield _report(name, asked, found, None if found is None else asked - found, details)

    def _at_most(self, name: str, found: float | None, details: str) -> Iterator[ConditionReport]:
        asked = getattr(self.gate, name)
        if asked is not None:
            yield _report(name, asked, found, None if found is None else found - asked, details)


def _report(
    name: str, asked: float, found: float | None, missed: float | None, details: str
) -> ConditionReport:
    """Compare: nothing to judge is never good enough."""
    return {
        "condition": name,
        "asked": asked,
        "found": found,
        # A difference of decimal fractions has digits that nobody asked for.
        "missed_by": float(f"{missed:.4g}") if missed is not None and missed > 0 else None,
        "holds": missed is not None and missed <= 0,
        "details": details,
    }
