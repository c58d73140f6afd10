"""From Roark into Zelto."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow_provider_zelto.api_client import AsyncAPIClient
from airflow_provider_zelto.arguments import parse_time
from airflow_provider_zelto.hooks.roark import RoarkHook, list_request
from airflow_provider_zelto.mapping import SourceValue
from airflow_provider_zelto.models import Call, Chat
from airflow_provider_zelto.transfers.base import SourceToZeltoOperator


class RoarkPair(Chat, Call):
    """A call, by its id in Roark and its UUID in Zelto."""


class RoarkToZeltoOperator(SourceToZeltoOperator):
    """
    Carry metrics of a chat in Roark to a call in Zelto, for one call or for many.

    A mapping is a dict with ``source`` (slug), ``label`` and, if wanted, ``metric_id`` (the Zelto metric it
    maps to). ``score_range=(low, high)`` gives the values that become 0 and 100 (high below low inverts); a
    value outside is an error unless ``clamp=True``. ``pass_when`` says which values pass: ``{">=": 0.8}``,
    ``{"in": ["resolved"]}``, True. Several values for one metric are an error without ``aggregate``:
    ``mean``, ``min``, ``max``, ``last``, ``all_pass`` or ``any_pass``. A number is never taken for 0–100
    unless ``score_range`` says so.

    Metrics without a value are skipped and counted. All metrics of a call are mapped before the first is
    submitted; submitting again replaces, so a rerun is safe. API pages: "List chat metrics",
    "Submit a customer metric".

    :param chat_id: id of the chat (templated).
    :param conversation_id: UUID of the call in Zelto (templated).
    :param mappings: list of mappings (templated).
    :param pairs: instead of the two ids a list of dicts with both, for many calls (templated). A call that is
        not there, or whose metrics are not as the mappings say, is rejected; the others go on.
    :param roark_conn_id: id of the source's connection (templated). Default: ``roark_default``.
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

    source_hook_class = RoarkHook
    pair = RoarkPair
    source_id = "chat_id"
    template_fields: Sequence[str] = (
        "chat_id",
        "conversation_id",
        "mappings",
        "pairs",
        "roark_conn_id",
        "rejects_path",
        "zelto_conn_id",
    )

    def __init__(
        self,
        *,
        chat_id: str | None = None,
        roark_conn_id: str = RoarkHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.chat_id = chat_id
        self.roark_conn_id = roark_conn_id
        self._check()

    def fetch(self, hook: RoarkHook, source_id: str) -> list[dict[str, Any]]:
        """List a chat's metrics, those without a value too."""
        return hook.list_chat_metrics(source_id, status="all")

    async def afetch(self, client: AsyncAPIClient, source_id: str) -> list[dict[str, Any]]:
        """Do the same from an event loop."""
        return await client.send(list_request(source_id, status="all"))

    def values(self, rows: Iterable[dict[str, Any]]) -> dict[str, list[SourceValue]]:
        """Sort the values by slug, the latest last."""
        values = [
            (metric, value) for metric in rows if metric.get("slug") for value in metric.get("values") or ()
        ]
        values.sort(key=lambda pair: _computed_at(pair[1]))
        found: dict[str, list[SourceValue]] = {}
        for metric, value in values:
            found.setdefault(metric["slug"], []).append(_value(metric, value))
        return found


def _computed_at(value: dict[str, Any]) -> datetime:
    try:
        # As text 12:00:00Z would come after 12:00:00.5Z.
        return parse_time(value["computedAt"])
    except (KeyError, TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)


def _value(metric: dict[str, Any], value: dict[str, Any]) -> SourceValue:
    reasoning = value.get("valueReasoning")
    if value.get("value") is None:
        return SourceValue(None, value.get("errorMessage") or reasoning or value.get("captureStatus"))
    return SourceValue(value["value"], reasoning, metric.get("metricId"))
