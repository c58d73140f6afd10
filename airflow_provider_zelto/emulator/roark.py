"""Roark's list of a chat's metrics, as its page says."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_zelto.emulator.auth import bearer
from airflow_provider_zelto.emulator.bodies import explain
from airflow_provider_zelto.emulator.calls import UnknownCallError
from airflow_provider_zelto.emulator.roark_state import RoarkState
from airflow_provider_zelto.emulator.service import Answer, Headers, Request, json_answer

_METRICS = re.compile(r"/v1/chat/([^/]+)/metrics")


class MetricsQuery(BaseModel):
    """The query of ``GET …/metrics``; other parameters are ignored."""

    model_config = ConfigDict(extra="ignore")

    flatten: Literal["true", "false"] = "false"
    status: Literal["success", "all"] = "success"


class Roark:
    """The endpoint a DAG talks to."""

    name = "roark"

    def __init__(self, state: RoarkState) -> None:
        self._state = state

    def key(self, headers: Headers) -> bytes | None:
        """Return the bearer token."""
        return bearer(headers)

    def error(self, status: int, message: str) -> Answer:
        """Return an error body in the one form kept to here; Roark documents none."""
        return _refuse(status, message, "A fault of the emulator")

    def unauthorized(self) -> Answer:
        """Return 401 with the challenge HTTP asks for."""
        body = {"error": "Unauthorized", "message": "The API key is missing or not valid"}
        return json_answer(401, body, (b"www-authenticate", b"Bearer"))

    def handle(self, request: Request) -> Answer:
        """List the metrics of a chat."""
        route = _METRICS.fullmatch(request.path)
        if route is None:
            return _refuse(404, "Not found", f"There is no {request.path}")
        if request.method != "GET":
            refusal = _refuse(405, "Method not allowed", f"{request.method} is not supported here")
            return refusal.with_headers(((b"allow", b"GET"),))
        try:
            query = MetricsQuery.model_validate(request.parameters)
            metrics = self._state.metrics(route[1], every_status=query.status == "all")
        except ValidationError as error:
            return _refuse(400, "Bad request", str(explain(error)))
        except UnknownCallError as error:
            return _refuse(404, "Not found", str(error))
        return json_answer(200, {"data": _flat(metrics) if query.flatten == "true" else metrics})


def _flat(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**{name: field for name, field in metric.items() if name != "values"}, **value}
        for metric in metrics
        for value in metric["values"]
    ]


def _refuse(status: int, error: str, message: str) -> Answer:
    return json_answer(status, {"error": error, "message": message})
