"""A customer metric as Zelto takes it, from a client or from a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from airflow_provider_zelto.emulator.bodies import Seconds, Uuid


@dataclass(frozen=True, slots=True)
class Submission:
    """A customer metric as somebody submits it; fields left out are None."""

    label: str
    verdict: Literal["pass", "fail"] | None = None
    score: float | None = None
    note: str | None = None
    metric_id: str | None = None
    external_id: str | None = None
    source: str = "api"


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


class OthersMetric(MetricBody):
    """A customer metric that somebody else submits, at once or later."""

    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=True)

    source: str = Field(default="api", min_length=1)
    after: Seconds = 0.0
