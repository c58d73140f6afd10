"""Answers made by hand, and what the client makes of them."""

from __future__ import annotations

from typing import Any

from airflow_provider_zelto import api_answer
from airflow_provider_zelto.api_request import ClientSettings
from airflow_provider_zelto.hooks.zelto import list_request
from airflow_provider_zelto.services import ZELTO
from tests.conftest import API_KEY
from tests.raw_server import http_answer

CALL = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
PATH = f"/v1/conversations/{CALL}/customer-metrics"
METRIC = {
    "id": "1",
    "organizationId": "2",
    "conversationId": CALL,
    "agentId": "3",
    "label": "a",
    "source": "api",
    "createdAt": "2026-01-02T12:00:00Z",
    "updatedAt": "2026-01-02T12:00:00Z",
}
EMPTY_LIST = http_answer(b'{"data": []}')


def read_answer(status: int, body: bytes = b"", *, api_key: str = API_KEY, **headers: str) -> Any:
    """Read an answer to the request that lists the metrics of a call."""
    settings = ClientSettings(ZELTO, ZELTO.base_url, api_key)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api_answer.read_answer(settings, list_request(CALL), status, named, body)
