"""Coval's list of a conversation's metrics, as its page says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from airflow_provider_zelto.emulator.bodies import InvalidInputError, explain
from airflow_provider_zelto.emulator.calls import UnknownCallError
from airflow_provider_zelto.emulator.coval_outputs import Row
from airflow_provider_zelto.emulator.coval_query import MetricsQuery
from airflow_provider_zelto.emulator.coval_state import CovalState
from airflow_provider_zelto.emulator.service import Answer, Headers, Request, json_answer, phrase
from airflow_provider_zelto.emulator.settings import LiveSettings

_METRICS = re.compile(r"/v1/conversations/([^/]+)/metrics")
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    413: "PAYLOAD_TOO_LARGE",
    500: "INTERNAL_ERROR",
}


class Coval:
    """The endpoint a DAG talks to."""

    name = "coval"

    def __init__(self, state: CovalState, settings: LiveSettings) -> None:
        self._state = state
        self._settings = settings

    def key(self, headers: Headers) -> bytes | None:
        """Return the key of the header ``x-api-key``."""
        return headers.get(b"x-api-key")

    def error(self, status: int, message: str) -> Answer:
        """Return Coval's error body, with the status's own name where Coval documents no code for it."""
        return _refuse(status, message)

    def unauthorized(self) -> Answer:
        """Return 401."""
        return _refuse(401, "The API key is missing or not valid")

    def handle(self, request: Request) -> Answer:
        """List the metric outputs of a conversation, a page of them."""
        route = _METRICS.fullmatch(request.path)
        if route is None:
            return _refuse(404, f"There is no {request.path}")
        if request.method != "GET":
            refusal = _refuse(405, f"{request.method} is not supported here")
            return refusal.with_headers(((b"allow", b"GET"),))
        if not 22 <= len(route[1]) <= 26:
            return _invalid(InvalidInputError({"conversation_id": "Must be 22 to 26 characters"}))
        parameters = request.parameters
        try:
            query = MetricsQuery.model_validate(parameters)
            rows, token = query.page(self._state.rows(route[1]))
        except ValidationError as error:
            return _invalid(explain(error))
        except UnknownCallError as error:
            return _refuse(404, str(error))
        if self._settings.now.repeat_page_token:
            token = parameters.get("page_token", token)
        return self._page(rows, token)

    def _page(self, rows: list[Row], token: str | None) -> Answer:
        nulls = self._settings.now.nulls
        page: dict[str, Any] = {"metrics": [row.as_json(nulls) for row in rows]}
        if token is not None or nulls == "null":
            page["next_page_token"] = token
        return json_answer(200, page)


def _invalid(error: InvalidInputError) -> Answer:
    return _refuse(400, str(error), error.details)


def _refuse(status: int, message: str, details: Mapping[str, str] = MappingProxyType({})) -> Answer:
    error = {
        "code": _CODES.get(status) or phrase(status).upper().replace(" ", "_"),
        "message": message,
        "details": [{"field": field, "description": sentence} for field, sentence in details.items()],
    }
    return json_answer(status, {"error": error})
