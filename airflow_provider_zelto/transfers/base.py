"""What the transfers from other services share: list metrics there, map them, submit them to Zelto."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, TypeVar

from airflow_provider_zelto.api_client import AsyncAPIClient
from airflow_provider_zelto.arguments import Arguments, is_templated
from airflow_provider_zelto.batch_run import BatchOptions, JobRun
from airflow_provider_zelto.bulk import PATIENT, Job
from airflow_provider_zelto.exceptions import (
    BadRequestError,
    FieldError,
    InvalidMetricError,
    NotFoundError,
    SourceMetricError,
)
from airflow_provider_zelto.hooks.base import APIHook
from airflow_provider_zelto.hooks.zelto import ZeltoHook, submit_request
from airflow_provider_zelto.mapping import MetricMapping, Skipped, SourceValue, check_mappings, map_metrics
from airflow_provider_zelto.models import CustomerMetric
from airflow_provider_zelto.operators.base import BatchOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

T = TypeVar("T")
R = TypeVar("R")


class CarriedCall(TypedDict):
    """What was carried for one call, for XCom: metrics as Zelto stored them, and what was skipped and why."""

    submitted: list[CustomerMetric]
    skipped: list[dict[str, str]]


class CarriedCalls(TypedDict):
    """What was carried for many calls, for XCom: how many metrics, and where the rejected calls are."""

    submitted: int
    skipped: int
    rejected: int
    seconds: float
    rejects_path: str | None


class SourceToZeltoOperator(BatchOperator):
    """
    Base of the transfers from another service.

    :cvar pair: checks what names a call at the source and in Zelto.
    :cvar source_id: name of the argument that names it at the source.
    """

    pair: ClassVar[type[Arguments]]
    source_id: ClassVar[str]
    ui_color = "#d9efe6"

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
        if not is_templated(self.mappings):
            check_mappings(self.mappings)
        call = self._call()
        if (self.pairs is None) == any(value is None for value in call.values()):
            raise InvalidMetricError(
                [FieldError("pairs", self.pairs, f"to be given beside {' and '.join(call)}")]
            )
        if self.pairs is None:
            self.pair.check_literals(call)

    def _call(self) -> dict[str, Any]:
        return {self.source_id: getattr(self, self.source_id), "conversation_id": self.conversation_id}

    @abstractmethod
    def source_hook(self) -> APIHook:
        """Make the hook for the source."""

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
            return self._carry_one(mappings)
        self._batch_run = run = _CarryRun(
            self,
            mappings,
            options=BatchOptions.check(self._options()),
            # Submitting replaces, so a retry may well begin anew.
            **self._run_arguments(context, keeps_progress=False),
        )
        return run.carry(list(self.pairs))

    def _carry_one(self, mappings: Sequence[MetricMapping]) -> CarriedCall:
        call = self.pair.check(self._call()).model_dump()
        with self.source_hook() as source:
            found = self.values(self.fetch(source, call[self.source_id]))
        metrics, skipped = map_metrics(mappings, call["conversation_id"], found)
        with ZeltoHook(self.zelto_conn_id) as zelto:
            submitted = [zelto.get_conn().send(submit_request(metric)) for metric in metrics]
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
        self.skipped: list[Skipped] = []

    def carry(self, pairs: Sequence[Mapping[str, str]]) -> CarriedCalls:
        """Carry them, and sum up."""
        self._source_settings = self._transfer.source_hook().get_settings()
        self.run(lambda: pairs)
        return {
            "submitted": self.done,
            "skipped": len(self.skipped),
            "rejected": self.rejected,
            "seconds": round(self.seconds, 3),
            "rejects_path": self.options.rejects_path,
        }

    async def jobs(self, open_rows: Callable[[], Iterable[Any]]) -> AsyncGenerator[Job[CustomerMetric], None]:
        """List the calls' metrics at the source, several at once, and map them, call by call."""
        settings = replace(self._source_settings, retry_policy=PATIENT)
        async with AsyncAPIClient(settings, self.options.concurrency) as client:
            mapped = _in_order(open_rows(), lambda pair: self._map(client, pair), self.options.concurrency)
            number = 0
            async for pair, outcome in mapped:
                number += 1
                if isinstance(outcome, Exception):
                    self.reject(number, pair, str(outcome))
                    continue
                metrics, skipped = outcome
                self.skipped += skipped
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
        for _, task in under_way:
            task.cancel()
