"""What is asked and sent, validated before it leaves, and the shape of what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict  # pydantic refuses typing.TypedDict before Python 3.12

from airflow_provider_zelto.arguments import (
    Arguments,
    ExternalId,
    Label,
    Uuid,
    identifier,
    number,
    parse_time,
    refuse,
    text,
)
from airflow_provider_zelto.exceptions import FieldError

T = TypeVar("T")

NOTE_MAX_LENGTH = 5000
CovalId = Annotated[str, BeforeValidator(identifier(22, 26))]


def _verdict(value: Any) -> str:
    return value if isinstance(value, str) and value in ("pass", "fail") else refuse("'pass' or 'fail'")


class Call(Arguments):
    """A call, by the UUID of its conversation."""

    conversation_id: Uuid


class Chat(Arguments):
    """A chat in Roark, by its id."""

    chat_id: Annotated[str, BeforeValidator(identifier(1, 64))]


class CovalConversation(Arguments):
    """A conversation in Coval, by its id."""

    conversation_id: CovalId


class NewCustomerMetric(Call):
    """
    A metric to submit: the arguments of a submit, under their own names or the API's camelCase.

    API page: "Submit a customer metric".
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    label: Label
    verdict: Annotated[str, BeforeValidator(_verdict)] | None = None
    score: Annotated[int | float, BeforeValidator(number(0, 100))] | None = None
    note: Annotated[str, BeforeValidator(text(0, NOTE_MAX_LENGTH))] | None = None
    metric_id: Uuid | None = None
    external_id: ExternalId | None = None

    @classmethod
    def conflicts(cls, arguments: Mapping[str, Any]) -> list[FieldError]:
        """Refuse a metric that says nothing."""
        if arguments.get("verdict") is None and arguments.get("score") is None:
            return [FieldError("verdict and score", None, "enough: at least one of the two is needed")]
        return []

    def body(self) -> dict[str, Any]:
        """Give the request's body: every field that is set, under the API's names."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude={"conversation_id"})


def _time_text(value: str) -> str:
    parse_time(value)
    return value


class CustomerMetric(TypedDict):
    """
    A metric as Zelto stores it, under the API's own names; fields that the API adds later pass through.

    ``metricId``, ``externalId``, ``verdict``, ``score`` (0–100) and ``note`` may be None or absent. Times are
    ISO 8601 text. API page: "List a call's customer metrics".
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]

    id: str
    organizationId: str
    conversationId: str
    agentId: str
    label: str
    source: str
    createdAt: str
    updatedAt: Annotated[str, AfterValidator(_time_text)]
    metricId: NotRequired[str | None]
    externalId: NotRequired[str | None]
    verdict: NotRequired[Literal["pass", "fail"] | None]
    score: NotRequired[int | float | None]
    note: NotRequired[str | None]


class CustomerMetricList(TypedDict):
    """The answer that lists a call's metrics."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]

    data: list[CustomerMetric]


def _answer_reader(shape: type[T]) -> Callable[[Any], T]:
    @cache
    def adapter() -> TypeAdapter[T]:
        # Building one takes milliseconds, which every parse of a DAG file would pay at import time.
        return TypeAdapter(shape)

    def read(answer: Any) -> T:
        """Check decoded JSON and return it unchanged; ValueError names the part that is not as documented."""
        try:
            return adapter().validate_python(answer)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the whole of it"
            raise ValueError(f"{place}: {first['msg']}") from None

    return read


read_customer_metric = _answer_reader(CustomerMetric)
read_customer_metric_list = _answer_reader(CustomerMetricList)


class RoarkMetrics(TypedDict):
    """
    The answer that lists a chat's metrics: definitions with their ``values``, or a flat list of values.

    API page: "List chat metrics".
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]

    data: list[dict[str, Any]]


class CovalMetric(TypedDict):
    """
    A metric output as Coval gives it; statuses and kinds of value that are new pass through.

    API page: "List conversation metrics".
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]

    metric_output_id: str
    metric_id: str
    status: str
    value: NotRequired[Any]


class CovalPage(TypedDict):
    """One page of a conversation's metric outputs."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]

    metrics: list[CovalMetric]
    next_page_token: NotRequired[str | None]


read_roark_metrics = _answer_reader(RoarkMetrics)
read_coval_page = _answer_reader(CovalPage)
