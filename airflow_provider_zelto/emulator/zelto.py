"""Zelto's customer metrics API, as its contract says."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from airflow_provider_zelto.emulator.auth import bearer
from airflow_provider_zelto.emulator.bodies import BadBodyError, Uuid, explain, json_object, uuid_or_none
from airflow_provider_zelto.emulator.service import Answer, Headers, Request, json_answer
from airflow_provider_zelto.emulator.settings import LiveSettings
from airflow_provider_zelto.emulator.state import State, Submission

_CUSTOMER_METRICS = re.compile(r"/v1/conversations/([^/]+)/customer-metrics")


class MetricBody(BaseModel):
    """The body of ``POST …/customer-metrics``; a field may be left out but not be null."""

    model_config = ConfigDict(strict=True, extra="ignore")

    label: str = Field(min_length=1, max_length=255)
    verdict: Literal["pass", "fail"] | None = None
    score: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    note: str | None = Field(default=None, max_length=5000)
    metric_id: Uuid | None = Field(default=None, alias="metricId")
    external_id: str | None = Field(default=None, alias="externalId", max_length=255)

    @field_validator("verdict", "score", "note", "metric_id", "external_id", mode="before")
    @classmethod
    def _is_not_null(cls, value: object) -> object:
        if value is None:
            raise ValueError("May be left out but not be null")
        return value

    @model_validator(mode="after")
    def _has_verdict_or_score(self) -> MetricBody:
        if self.verdict is None and self.score is None:
            raise ValueError("Provide at least one of verdict or score")
        return self

    def submission(self, source: str = "api") -> Submission:
        """Return what is to be stored; a whole score stays a whole number, as in JavaScript."""
        score = self.score
        return Submission(
            label=self.label,
            verdict=self.verdict,
            score=int(score) if score is not None and score.is_integer() else score,
            note=self.note,
            metric_id=self.metric_id,
            external_id=self.external_id,
            source=source,
        )


class Zelto:
    """The two endpoints a DAG talks to."""

    name = "zelto"

    def __init__(self, state: State, settings: LiveSettings) -> None:
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
        call_id = uuid_or_none(route[1])
        # The call must not vanish in a reset between being found and being read.
        with self._state.lock:
            if call_id is None or not self._state.is_available(call_id):
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
        except BadBodyError as error:
            return self._invalid(error)
        known = self._settings.now.metric_ids
        if known is not None and body.metric_id is not None and body.metric_id not in known:
            return self._refuse(403, "Forbidden", f"The metric {body.metric_id} is not in this organization")
        return json_answer(201, self._state.submit(call_id, body.submission()))

    def _invalid(self, error: BadBodyError) -> Answer:
        return self._refuse(400, "Validation failed", str(error), details=error.details)

    def _refuse(self, status: int, error: str, message: str, **more: Any) -> Answer:
        return json_answer(status, {"error": error, "message": message, **more})
