"""The services to carry metrics from, as the tests name and fill them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from airflow_provider_zelto.hooks.coval import CovalHook
from airflow_provider_zelto.hooks.roark import RoarkHook
from airflow_provider_zelto.operators.coval import ListCovalConversationMetricsOperator
from airflow_provider_zelto.operators.roark import ListRoarkChatMetricsOperator
from airflow_provider_zelto.sensors.coval import CovalConversationMetricsSensor
from airflow_provider_zelto.sensors.roark import RoarkChatMetricsSensor
from airflow_provider_zelto.transfers.coval_to_zelto import CovalToZeltoOperator
from airflow_provider_zelto.transfers.roark_to_zelto import RoarkToZeltoOperator
from airflow_provider_zelto.triggers.coval import CovalConversationMetricsTrigger
from airflow_provider_zelto.triggers.roark import RoarkChatMetricsTrigger

CHAT = "chat-1"
CONVERSATION = "29BlkepvvX19ebbLDB0y6Q"


def host(emulator: Any, service: str) -> str:
    """Give the base URL of a local service."""
    return json.loads(emulator.connection_json(service))["host"]


class LocalRoark:
    """The local Roark, filled and asked in the words that both sources share."""

    name: ClassVar = "roark"
    title: ClassVar = "Roark"
    example_id: ClassVar = CHAT
    bad_id: ClassVar = "../x"
    metrics: ClassVar = ("csat", "tone", "audio")
    id_field: ClassVar = "chat_id"
    names_field: ClassVar = "slugs"
    empty_answer: ClassVar = {"data": []}
    path: ClassVar = "/v1/chat/{}/metrics"
    not_found: ClassVar = "(chat {}): Not found: "
    not_found_advice: ClassVar = "The key's project has no such chat (yet)."
    not_allowed: ClassVar = "it may not read chat metrics"
    url: ClassVar = "https://api.roark.ai"
    hook: ClassVar = RoarkHook
    method: ClassVar = "list_chat_metrics"
    list_operator: ClassVar = ListRoarkChatMetricsOperator
    sensor: ClassVar = RoarkChatMetricsSensor
    trigger: ClassVar = RoarkChatMetricsTrigger
    transfer: ClassVar = RoarkToZeltoOperator
    transfer_id: ClassVar = "chat_id"

    def __init__(self, emulator: Any) -> None:
        self._roark = emulator.roark

    def add_call(self, call_id: str | None = None, **options: Any) -> str:
        return self._roark.add_chat(call_id, **options)

    def add(self, call: str, metric: str, value: Any, why: str | None = None, *, after: float = 0) -> None:
        self._roark.add_metric_value(call, metric, value, value_reasoning=why, after=after)

    def add_missing(self, call: str, metric: str, *, after: float = 0) -> str:
        """Let a metric turn out to have no value; give the reason."""
        self._roark.add_metric_value(
            call, metric, capture_status="ERROR", error_message="judge timed out", after=after
        )
        return "judge timed out"

    @staticmethod
    def error(message: str, details: Any) -> dict[str, Any]:
        """Give an error body of the vendor's."""
        return {"error": message, "details": details}

    @staticmethod
    def values(found: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
        """Sort what was found by metric."""
        return {one["slug"]: [value.get("value") for value in one["values"]] for one in found}


class LocalCoval:
    """The local Coval, filled and asked in the words that both sources share."""

    name: ClassVar = "coval"
    title: ClassVar = "Coval"
    example_id: ClassVar = CONVERSATION
    bad_id: ClassVar = "x" * 21
    metrics: ClassVar = ("29BlkepvvX19ebbLDB0y6Q", "mymKvEg6ZA65srXbTX5wSM", "zzfstokU4ev5UmT8sUBexi")
    id_field: ClassVar = "conversation_id"
    names_field: ClassVar = "metric_ids"
    empty_answer: ClassVar = {"metrics": []}
    path: ClassVar = "/v1/conversations/{}/metrics"
    not_found: ClassVar = "(conversation {}): NOT_FOUND: "
    not_found_advice: ClassVar = "The key's organization has no such conversation (yet)."
    not_allowed: ClassVar = "it may not read conversation metrics"
    url: ClassVar = "https://api.coval.dev"
    hook: ClassVar = CovalHook
    method: ClassVar = "list_conversation_metrics"
    list_operator: ClassVar = ListCovalConversationMetricsOperator
    sensor: ClassVar = CovalConversationMetricsSensor
    trigger: ClassVar = CovalConversationMetricsTrigger
    transfer: ClassVar = CovalToZeltoOperator
    transfer_id: ClassVar = "coval_conversation_id"

    def __init__(self, emulator: Any) -> None:
        self._coval = emulator.coval

    def add_call(self, call_id: str | None = None, **options: Any) -> str:
        return self._coval.add_conversation(call_id, **options)

    def add(self, call: str, metric: str, value: Any, why: str | None = None, *, after: float = 0) -> None:
        self._coval.add_metric_output(call, value, metric_id=metric, explanation=why, ready_after=after)

    def add_missing(self, call: str, metric: str, *, after: float = 0) -> str:
        """Let a metric turn out to have no value; give the reason."""
        self._coval.add_metric_output(
            call, metric_id=metric, status="FAILED", status_reason="no audio", ready_after=after
        )
        return "no audio"

    @staticmethod
    def error(message: str, details: Any) -> dict[str, Any]:
        """Give an error body of the vendor's."""
        return {"error": {"code": "BAD", "message": message, "details": [details]}}

    @staticmethod
    def values(found: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
        """Sort what was found by metric."""
        sorted_values: dict[str, list[Any]] = {}
        for row in found:
            sorted_values.setdefault(row["metric_id"], []).append(row.get("value"))
        return sorted_values


LOCAL_SOURCES = {"roark": LocalRoark, "coval": LocalCoval}
