"""From Coval into Zelto."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_zelto.api_client import AsyncAPIClient
from airflow_provider_zelto.conditions import COVAL_FINAL_STATUSES
from airflow_provider_zelto.hooks.coval import CovalHook, Pages
from airflow_provider_zelto.mapping import SourceValue
from airflow_provider_zelto.models import Call, CovalId, CovalMetric
from airflow_provider_zelto.transfers.base import SourceToZeltoOperator

_ORDER = "create_time"


class CovalPair(Call):
    """A call, by its id in Coval and its UUID in Zelto."""

    coval_conversation_id: CovalId


class CovalToZeltoOperator(SourceToZeltoOperator):
    """
    Carry metrics of a conversation in Coval to a call in Zelto, for one call or for many.

    A mapping is a dict with ``source`` (metric id), ``label`` and, if wanted, ``metric_id`` (the Zelto metric
    it maps to). ``score_range=(low, high)`` gives the values that become 0 and 100 (high below low inverts);
    a value outside is an error unless ``clamp=True``. ``pass_when`` says which values pass: ``{">=": 0.8}``,
    ``{"in": ["resolved"]}``, True. Several values for one metric are an error without ``aggregate``:
    ``mean``, ``min``, ``max``, ``last``, ``all_pass`` or ``any_pass``; a value that is a list of texts counts
    as several. A number is never taken for 0–100 unless ``score_range`` says so.

    Metrics without a value are skipped and counted. All metrics of a call are mapped before the first is
    submitted; submitting again replaces, so a rerun is safe. API pages: "List conversation metrics",
    "Submit a customer metric".

    :param coval_conversation_id: id of the conversation in Coval, 22–26 letters and digits (templated).
    :param conversation_id: UUID of the call in Zelto (templated).
    :param mappings: list of mappings (templated).
    :param pairs: instead of the two ids a list of dicts with both, for many calls (templated). A call that is
        not there, or whose metrics are not as the mappings say, is rejected; the others go on.
    :param coval_conn_id: id of the source's connection (templated). Default: ``coval_default``.
    :param zelto_conn_id: id of Zelto's connection (templated). Default: ``zelto_default``.
    :param concurrency: with ``pairs``: how many requests are under way at once, 1–256. Default: 16.
    :param max_requests_per_second: with ``pairs``: at most so many submits start in a second.
        Default: no limit.
    :param max_rejects: with ``pairs``: more rejected calls than this stop the batch, and fail the task
        without a retry; None for no limit. Default: 0.
    :param rejects_path: with ``pairs``: where rejected calls are written as JSON Lines (templated).
        Default: nowhere.
    :return: XCom: for one call ``submitted`` (list of the metrics as Zelto stored them) and ``skipped`` (list
        of ``source``, ``label``, ``reason``); for many ``submitted`` and ``skipped`` (how many metrics),
        ``skipped_because`` (the most common reasons: list of ``source``, ``label``, ``reason``, ``calls``),
        ``rejected`` (how many calls), ``seconds`` and ``rejects_path``.
    :raises InvalidMetricError: when an argument or a mapping is wrong; the task is not retried.
    :raises SourceMetricError: when a metric is not there (it names those that are), or not as its mapping
        says; nothing is submitted for the call then.
    :raises TooManyRejectsError: with the first few rejects; the task is not retried.
    :raises APIError: when a request fails, after repeating it where that can help.
    """

    source_hook_class = CovalHook
    pair = CovalPair
    source_id = "coval_conversation_id"
    template_fields: Sequence[str] = (
        "coval_conversation_id",
        "conversation_id",
        "mappings",
        "pairs",
        "coval_conn_id",
        "rejects_path",
        "zelto_conn_id",
    )

    def __init__(
        self,
        *,
        coval_conversation_id: str | None = None,
        coval_conn_id: str = CovalHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.coval_conversation_id = coval_conversation_id
        self.coval_conn_id = coval_conn_id
        self._check()

    def fetch(self, hook: CovalHook, source_id: str) -> Iterable[CovalMetric]:
        """List a conversation's metric outputs, the latest last."""
        return hook.list_conversation_metrics(source_id, order_by=_ORDER)

    async def afetch(self, client: AsyncAPIClient, source_id: str) -> list[CovalMetric]:
        """Do the same from an event loop."""
        pages, rows = Pages(source_id, order_by=_ORDER), list[CovalMetric]()
        while (request := pages.next_request()) is not None:
            rows += pages.take(await client.send(request))
        return rows

    def values(self, rows: Iterable[CovalMetric]) -> dict[str, list[SourceValue]]:
        """Sort the outputs by metric id."""
        found: dict[str, list[SourceValue]] = {}
        for row in rows:
            found.setdefault(row["metric_id"], []).extend(_values(row))
        return found


def _values(row: Mapping[str, Any]) -> list[SourceValue]:
    status, output_id, value = row["status"], row["metric_output_id"], row.get("value")
    if status != "COMPLETED":
        why = row.get("status_reason") or f"its status is {status}"
        return [SourceValue(None, why, output_id, is_final=status in COVAL_FINAL_STATUSES)]
    # A list of texts is several values: what becomes of them is for the mapping to say.
    values = (value or [None]) if isinstance(value, list) else [value]
    return [SourceValue(one, row.get("explanation"), output_id) for one in values]
