"""Zelto's customer metrics API, as its contract says."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from airflow_provider_zelto.emulator.auth import bearer
from airflow_provider_zelto.emulator.bodies import InvalidInputError, explain, json_object
from airflow_provider_zelto.emulator.service import Answer, Headers, Request, json_answer
from airflow_provider_zelto.emulator.settings import LiveSettings
from airflow_provider_zelto.emulator.zelto_metrics import MetricBody
from airflow_provider_zelto.emulator.zelto_state import ZeltoState

_CUSTOMER_METRICS = re.compile(r"/v1/conversations/([^/]+)/customer-metrics")


class Zelto:
    """The two endpoints a DAG talks to."""

    name = "zelto"

    def __init__(self, state: ZeltoState, settings: LiveSettings) -> None:
        self._state = state
        self._settings = settings

    def key(self, headers: Headers) -> bytes | None:
        """Return the bearer token."""
        return bearer(headers)

    def error(self, status: int, message: str) -> Answer:
        """Return the documented error body."""
        return json_answer(status, {"error": message})

    def unauthorized(self) -> Answer:
        """Return 401 with the challenge HTTP asks for."""
        return json_answer(401, {"error": "Unauthorized"}, (b"www-authenticate", b"Bearer"))

    def handle(self, request: Request) -> Answer:
        """List the metrics of a call or store one."""
        route = _CUSTOMER_METRICS.fullmatch(request.path)
        if route is None:
            return self._refuse(404, "Not found", f"There is no {request.path}")
        if request.method not in ("GET", "POST"):
            refusal = self._refuse(405, "Method not allowed", f"{request.method} is not supported here")
            return refusal.with_headers(((b"allow", b"GET, POST"),))
        if not self._settings.now.metrics_enabled:
            return self._refuse(403, "Forbidden", "Metrics are not enabled for this organization")
        call_id = route[1]
        # The call must not vanish in a reset between being found and being read.
        with self._state.lock:
            if not self._state.is_available(call_id):
                return self._refuse(404, "Not found", "There is no such conversation in this organization")
            if request.method == "GET":
                return json_answer(200, {"data": self._state.metrics(call_id)})
            return self._submit(call_id, request)

    def _submit(self, call_id: str, request: Request) -> Answer:
        try:
            body = MetricBody.model_validate(
                json_object(request.headers.get(b"content-type", b""), request.body)
            )
        except ValidationError as error:
            return self._invalid(explain(error))
        except InvalidInputError as error:
            return self._invalid(error)
        known = self._settings.now.metric_ids
        if known is not None and body.metric_id is not None and body.metric_id not in known:
            return self._refuse(403, "Forbidden", f"The metric {body.metric_id} is not in this organization")
        return json_answer(201, self._state.submit(call_id, body.submission()))

    def _invalid(self, error: InvalidInputError) -> Answer:
        return self._refuse(400, "Validation failed", str(error), details=error.details)

    def _refuse(self, status: int, error: str, message: str, **more: Any) -> Answer:
        return json_answer(status, {"error": error, "message": message, **more})
