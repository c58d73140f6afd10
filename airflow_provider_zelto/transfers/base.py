"""What the transfers from other services share: list metrics there, map them, submit them to Zelto."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, TypeVar

from airflow_provider_zelto.api_client import AsyncAPIClient
from airflow_provider_zelto.arguments import NATIVE_HINT, Arguments, is_templated
from airflow_provider_zelto.batch_run import BatchOptions, JobRun
from airflow_provider_zelto.bulk import PATIENT, Job
from airflow_provider_zelto.event_loops import cancelled
from airflow_provider_zelto.exceptions import (
    BadRequestError,
    FieldError,
    InvalidMetricError,
    NotFoundError,
    SourceMetricError,
)
from airflow_provider_zelto.hooks.base import APIHook
from airflow_provider_zelto.hooks.zelto import submit_request
from airflow_provider_zelto.links import CallLink
from airflow_provider_zelto.mapping import MetricMapping, Skipped, SourceValue, check_mappings, map_metrics
from airflow_provider_zelto.models import CustomerMetric
from airflow_provider_zelto.operators.base import BatchOperator, submit_metrics

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

T = TypeVar("T")
R = TypeVar("R")

_REASONS_TO_SKIP = 20  # in an XCom, however many calls are carried


class CarriedCall(TypedDict):
    """What was carried for one call, for XCom: metrics as Zelto stored them, and what was skipped and why."""

    submitted: list[CustomerMetric]
    skipped: list[dict[str, str]]


class CarriedCalls(TypedDict):
    """What was carried for many calls, for XCom: how many metrics, and where the rejected calls are."""

    submitted: int
    skipped: int
    skipped_because: list[dict[str, Any]]
    rejected: int
    seconds: float
    rejects_path: str | None


class SourceToZeltoOperator(BatchOperator):
    """
    Base of the transfers from another service.

    :param mappings: how each metric becomes one of Zelto's: list of dicts, the arguments of
        :class:`~airflow_provider_zelto.mapping.MetricMapping`.
    :param conversation_id: UUID of the one call in Zelto; either this or ``pairs``.
    :param pairs: many calls: list of dicts with the id at the source and ``conversation_id``.
    :param max_rejects: more rejected calls than this stop the batch; None for no limit. Default: 0.
    :param kwargs: the other arguments of :class:`~airflow_provider_zelto.operators.base.BatchOperator`.
    :cvar source_hook_class: class of the source's hook.
    :cvar pair: checks what names a call at the source and in Zelto.
    :cvar source_id: name of the argument that names it at the source.
    """

    source_hook_class: ClassVar[type[APIHook]]
    pair: ClassVar[type[Arguments]]
    source_id: ClassVar[str]
    ui_color = "#d9efe6"
    operator_extra_links = (CallLink(),)

    def __init__(
        self,
        *,
        mappings: Sequence[Mapping[str, Any]],
        conversation_id: str | None = None,
        pairs: Sequence[Mapping[str, str]] | None = None,
        max_rejects: int | None = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_rejects=max_rejects, **kwargs)
        self.mappings = mappings
        self.conversation_id = conversation_id
        self.pairs = pairs

    def _check(self) -> None:
        BatchOptions.check_literals(self._options())
        check_mappings(self.mappings, literals_only=True)
        call = self._call()
        given = [name for name, value in call.items() if value is not None]
        if self.pairs is None and not given:
            limit = f"to be left out without {' and '.join(call)}"
            raise InvalidMetricError([FieldError("pairs", None, limit)])
        if self.pairs is None:
            self.pair.check_literals(call)
        elif given:
            limit = f"to be given beside {' and '.join(given)}"
            raise InvalidMetricError([FieldError("pairs", self.pairs, limit)])
        elif not is_templated(self.pairs):
            self._check_pairs()

    def _call(self) -> dict[str, Any]:
        return {self.source_id: getattr(self, self.source_id), "conversation_id": self.conversation_id}

    @abstractmethod
    def fetch(self, hook: Any, source_id: str) -> Iterable[Any]:
        """List a call's metrics at the source."""

    @abstractmethod
    async def afetch(self, client: AsyncAPIClient, source_id: str) -> Iterable[Any]:
        """Do the same from an event loop."""

    @abstractmethod
    def values(self, rows: Iterable[Any]) -> dict[str, list[SourceValue]]:
        """Sort the source's rows by metric."""

    def execute(self, context: Context) -> CarriedCall | CarriedCalls:
        """Carry the metrics and return what became of them."""
        mappings = check_mappings(self.mappings)
        if self.pairs is None:
            return self._carry_one(context, mappings)
        self._check_pairs()
        self._batch_run = run = _CarryRun(
            self,
            mappings,
            options=BatchOptions.check(self._options()),
            # Submitting replaces, so a retry may well begin anew.
            **self._run_arguments(context, keeps_progress=False),
        )
        return run.carry(list(self.pairs))

    def _check_pairs(self) -> None:
        # Text is iterable too.
        if isinstance(self.pairs, str | bytes | Mapping) or not isinstance(self.pairs, Iterable):
            raise InvalidMetricError([FieldError("pairs", self.pairs, f"a list of dicts{NATIVE_HINT}")])

    def _carry_one(self, context: Context, mappings: Sequence[MetricMapping]) -> CarriedCall:
        call = self.pair.check(self._call()).model_dump()
        with self.source_hook_class.of(self) as source:
            found = self.values(self.fetch(source, call[self.source_id]))
        metrics, skipped = map_metrics(mappings, call["conversation_id"], found)
        submitted = submit_metrics(self, context, self.zelto_conn_id, metrics, log_each=False)
        for one in skipped:
            self.log.warning("Nothing to submit for %r (label %r): %s.", *one)
        self.log.info("Carried %d metrics to call %s.", len(submitted), call["conversation_id"])
        return {"submitted": submitted, "skipped": [one._asdict() for one in skipped]}


class _CarryRun(JobRun[CustomerMetric]):
    """Carry the metrics of many calls: what one call lacks does not hold up the others."""

    verb = "submitted"

    def __init__(
        self, transfer: SourceToZeltoOperator, mappings: Sequence[MetricMapping], **options: Any
    ) -> None:
        self._transfer = transfer
        self._mappings = mappings
        super().__init__(**options)

    def _begin(self) -> None:
        super()._begin()
        self._skipped: Counter[Skipped] = Counter()
        self._rejected_calls: set[int] = set()

    def carry(self, pairs: Sequence[Mapping[str, str]]) -> CarriedCalls:
        """Carry them, and sum up."""
        self._source_settings = self._transfer.source_hook_class.of(self._transfer).get_settings()
        self.run(lambda: pairs)
        reasons = [
            {**one._asdict(), "calls": calls} for one, calls in self._skipped.most_common(_REASONS_TO_SKIP)
        ]
        if reasons:
            self.log.warning("%d metrics had nothing to submit: %s", self._skipped.total(), reasons)
        return {
            "submitted": self.done,
            "skipped": self._skipped.total(),
            "skipped_because": reasons,
            "rejected": self.rejected,
            "seconds": round(self.seconds, 3),
            "rejects_path": self.options.rejects_path,
        }

    def reject(self, number: int, row: Any, reason: str) -> None:
        """Take note of a call that was not carried whole, once for all of its metrics."""
        if number not in self._rejected_calls:
            self._rejected_calls.add(number)
            super().reject(number, row, reason)

    async def jobs(self, open_rows: Callable[[], Iterable[Any]]) -> AsyncGenerator[Job[CustomerMetric], None]:
        """List the calls' metrics at the source, several at once, and map them, call by call."""
        settings = replace(self._source_settings, retry_policy=PATIENT)
        async with (
            AsyncAPIClient(settings, self.options.concurrency) as client,
            aclosing(
                _in_order(open_rows(), lambda pair: self._map(client, pair), self.options.concurrency)
            ) as mapped,
        ):
            number = 0
            async for pair, outcome in mapped:
                if self._is_over:
                    return
                number += 1
                if isinstance(outcome, Exception):
                    self.reject(number, pair, str(outcome))
                    continue
                metrics, skipped = outcome
                self._skipped.update(skipped)
                for metric in metrics:
                    yield Job(number, pair, (metric.conversation_id, metric.label), submit_request(metric))

    async def _map(self, client: AsyncAPIClient, pair: Any) -> Any:
        transfer = self._transfer
        try:
            if not isinstance(pair, Mapping):
                raise InvalidMetricError([FieldError("pair", pair, "a dict")])
            call = transfer.pair.check(pair).model_dump()
            rows = await transfer.afetch(client, call[transfer.source_id])
            return map_metrics(self._mappings, call["conversation_id"], transfer.values(rows))
        except (InvalidMetricError, SourceMetricError, BadRequestError, NotFoundError) as error:
            return error


async def _in_order(
    items: Iterable[T], work: Callable[[T], Awaitable[R]], concurrency: int
) -> AsyncGenerator[tuple[T, R], None]:
    """Do something for each item, some at once, and give the results in the order of the items."""
    under_way: deque[tuple[T, asyncio.Task[R]]] = deque()
    try:
        for item in items:
            under_way.append((item, asyncio.ensure_future(work(item))))
            if len(under_way) >= concurrency:
                first, task = under_way.popleft()
                yield first, await task
        while under_way:
            first, task = under_way.popleft()
            yield first, await task
    finally:
        await cancelled([task for _, task in under_way])
