"""A metric output as a test gives it to Coval, and what Coval shows of it as time goes by."""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from airflow_provider_zelto.emulator.bodies import Seconds

Status = Literal["IN QUEUE", "IN PROGRESS", "COMPLETED", "SKIPPED", "FAILED", "CANCELLED"]
OutputType = Literal["float", "string", "set"]

_ALPHANUMERIC = string.digits + string.ascii_letters
_ULID_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ID = re.compile(r"[0-9A-Za-z]{22,26}")
_Number = int | Annotated[float, Field(allow_inf_nan=False)]


def coval_id_or_none(text: str) -> str | None:
    """Return the id, or None where it is not 22 to 26 letters and digits."""
    return text if _ID.fullmatch(text) else None


def new_id() -> str:
    """Return 22 random letters and digits, as Coval names conversations and metrics."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(22))


def new_ulid(moment: datetime) -> str:
    """Return 26 characters that sort by time, as Coval names metric outputs."""
    number = int(moment.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join(_ULID_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))


def _coval_id(text: str) -> str:
    if coval_id_or_none(text) is None:
        raise ValueError("Must be 22 to 26 letters and digits")
    return text


CovalId = Annotated[str, AfterValidator(_coval_id)]


class NewMetricOutput(BaseModel):
    """An output that Coval computes for a conversation, at once or in its own time, and its metric."""

    model_config = ConfigDict(strict=True, extra="forbid")

    metric_id: CovalId | None = None
    metric_name: str | None = Field(default=None, min_length=1, max_length=255)
    output_type: OutputType | None = None
    value: _Number | str | list[str] | None = None
    status: Status = "COMPLETED"
    status_reason: str | None = None
    explanation: str | None = None
    after: Seconds = 0.0
    start_after: Seconds | None = None
    ready_after: Seconds | None = None

    @property
    def moments(self) -> tuple[float, float, float]:
        """Return in how many seconds it is there, leaves the queue and has its status."""
        start = self.after if self.start_after is None else self.start_after
        return self.after, start, start if self.ready_after is None else self.ready_after

    @model_validator(mode="after")
    def _consistent(self) -> NewMetricOutput:
        if self.value is not None and self.status != "COMPLETED":
            raise ValueError(f"There is no value with status {self.status}")
        if list(self.moments) != sorted(self.moments):
            raise ValueError("The times must not fall: after, start_after, ready_after")
        return self


@dataclass(slots=True)
class Metric:
    """What Coval knows of a metric, the same for every conversation."""

    id: str
    name: str
    output_type: OutputType | None = None

    def learn(self, new: NewMetricOutput) -> None:
        """Take over what the output says of its metric, and guess its type where nobody has said."""
        self.name = new.metric_name or self.name
        self.output_type = new.output_type or self.output_type or _type_of(new.value)


@dataclass(frozen=True, slots=True)
class Row:
    """A metric output at one moment; what is not known yet is None."""

    metric_output_id: str
    metric_id: str
    metric_name: str
    output_type: str
    status: str
    create_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    value: float | str | list[str] | None = None
    status_reason: str | None = None
    explanation: str | None = None

    def as_json(self, nulls: Literal["null", "absent"]) -> dict[str, Any]:
        """Return the row as Coval shows it: without the metric's name."""
        shown = {
            "metric_output_id": self.metric_output_id,
            "metric_id": self.metric_id,
            "value": self.value,
            "status": self.status,
            "status_reason": self.status_reason,
            "explanation": self.explanation,
        }
        if nulls == "null":
            return shown
        return {name: value for name, value in shown.items() if value is not None}


@dataclass(frozen=True, slots=True)
class MetricOutput:
    """An output of a metric, and the moments at which it changes."""

    id: str
    metric: Metric
    new: NewMetricOutput
    created_at: datetime
    started_at: datetime
    ended_at: datetime

    def at(self, now: datetime) -> Row | None:
        """Return the output as it is now, or None where it is not there yet."""
        if now < self.created_at:
            return None
        new = self.new
        ended = now >= self.ended_at
        status = new.status if ended else "IN QUEUE" if now < self.started_at else "IN PROGRESS"
        return Row(
            metric_output_id=self.id,
            metric_id=self.metric.id,
            metric_name=self.metric.name,
            output_type=self.metric.output_type or "float",
            status=status,
            create_time=self.created_at,
            start_time=None if status == "IN QUEUE" else self.started_at,
            end_time=None if status in ("IN QUEUE", "IN PROGRESS") else self.ended_at,
            value=new.value if ended else None,
            status_reason=new.status_reason if ended else None,
            explanation=new.explanation if ended else None,
        )


def _type_of(value: object) -> OutputType | None:
    if value is None:
        return None
    if isinstance(value, str):
        return "string"
    return "set" if isinstance(value, list) else "float"
