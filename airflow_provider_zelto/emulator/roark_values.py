"""A metric value as a test gives it to Roark, and as Roark shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from airflow_provider_zelto.emulator.bodies import Seconds, Uuid
from airflow_provider_zelto.emulator.clock import iso

CaptureStatus = Literal["SUCCESS", "NOT_APPLICABLE", "DATA_MISSING", "ERROR"]
MetricType = Literal["COUNT", "NUMERIC", "BOOLEAN", "SCALE", "TEXT", "CLASSIFICATION", "OFFSET"]
Scope = Literal["GLOBAL", "PER_PARTICIPANT"]
ParticipantRole = Literal["agent", "customer"]

_Number = int | Annotated[float, Field(allow_inf_nan=False)]
_Milliseconds = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, allow_inf_nan=False)]
# What Roark shows beside each value; the rest of a new value says when it appears and what metric it is of.
_SHOWN = {
    "capture_status",
    "value",
    "value_reasoning",
    "error_message",
    "participant_role",
    "policy_ids",
    "segment",
    "from_segment",
    "to_segment",
}


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Segment(_Model):
    """A piece of the transcript."""

    id: str = Field(default_factory=lambda: str(uuid4()), min_length=1)
    text: str
    start_offset_ms: _Milliseconds
    end_offset_ms: _Milliseconds


class Unit(_Model):
    """What a metric is measured in."""

    name: str
    symbol: str | None = None


class NewMetricValue(_Model):
    """A value that Roark computes for a chat, at once or later, and what is known of its metric."""

    slug: str = Field(min_length=1, max_length=255)
    value: bool | _Number | str | None = None
    capture_status: CaptureStatus = "SUCCESS"
    confidence: float | None = Field(default=None, ge=0, le=1)
    value_reasoning: str | None = None
    error_message: str | None = None
    participant_role: ParticipantRole | None = None
    policy_ids: list[Uuid] | None = None
    segment: Segment | None = None
    from_segment: Segment | None = None
    to_segment: Segment | None = None
    name: str | None = None
    description: str | None = None
    type: MetricType | None = None
    scope: Scope | None = None
    unit: Unit | None = None
    after: Seconds = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> NewMetricValue:
        success = self.capture_status == "SUCCESS"
        if success and self.value is None:
            raise ValueError("A value is needed, or a captureStatus other than SUCCESS")
        if not success and (self.value is not None or self.confidence is not None):
            raise ValueError(f"There is no value and no confidence with captureStatus {self.capture_status}")
        if self.error_message is not None and self.capture_status != "ERROR":
            raise ValueError("errorMessage needs captureStatus ERROR")
        if (self.from_segment is None) != (self.to_segment is None):
            raise ValueError("Give fromSegment and toSegment together")
        if self.segment is not None and self.from_segment is not None:
            raise ValueError("Give segment, or fromSegment and toSegment, not all three")
        return self

    @property
    def context(self) -> str:
        """Return what the value was computed on: the whole call, a segment or a range of segments."""
        if self.from_segment is not None:
            return "SEGMENT_RANGE"
        return "SEGMENT" if self.segment is not None else "CALL"

    def as_json(self, computed_at: datetime) -> dict[str, Any]:
        """Return the value as Roark shows it; what there is not, it leaves out."""
        shown = self.model_dump(by_alias=True, include=_SHOWN, exclude_none=True)
        shown |= {"context": self.context, "computedAt": iso(computed_at)}
        if self.capture_status == "SUCCESS":
            shown["confidence"] = 1.0 if self.confidence is None else self.confidence
        return shown


@dataclass(slots=True)
class MetricDefinition:
    """What Roark knows of a metric, the same for every chat."""

    slug: str
    id: str = field(default_factory=lambda: str(uuid4()))
    name: str | None = None
    description: str | None = None
    type: MetricType | None = None
    scope: Scope | None = None
    unit: Unit | None = None

    def learn(self, new: NewMetricValue) -> None:
        """Take over what the value says of its metric, and guess from it what nobody has said."""
        self.name = new.name or self.name
        self.description = new.description or self.description
        self.type = new.type or self.type or _type_of(new.value)
        self.scope = new.scope or self.scope or ("PER_PARTICIPANT" if new.participant_role else None)
        self.unit = new.unit or self.unit

    def as_json(self) -> dict[str, Any]:
        """Return the definition as Roark shows it."""
        name = self.name or self.slug.replace("_", " ").capitalize()
        shown = {
            "metricDefinitionId": self.id,
            "slug": self.slug,
            # Roark keeps the old name of the slug beside it.
            "metricId": self.slug,
            "name": name,
            "description": self.description or name,
            "type": self.type or "NUMERIC",
            "scope": self.scope or "GLOBAL",
        }
        return shown if self.unit is None else {**shown, "unit": self.unit.model_dump()}


def _type_of(value: object) -> MetricType | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "BOOLEAN"
    return "TEXT" if isinstance(value, str) else "NUMERIC"
