from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, task
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from airflow_provider_zelto.arguments import (
    Arguments,
    count,
    is_list,
    is_templated,
    listed,
    names,
    number,
    optional_names,
    parse_time,
    point_in_time,
    text,
    uuid,
    whole_number,
)
from airflow_provider_zelto.exceptions import InvalidMetricError

ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


class Pair(Arguments):
    """Arguments to check."""

    left: int
    right: int = 0


def test_all_errors_are_named_at_once():
    with pytest.raises(InvalidMetricError) as caught:
        Pair.check({"left": "a", "right": "b", "up": 1})
    assert [(error.field, error.value) for error in caught.value.errors] == [
        ("left", "a"),
        ("right", "b"),
        ("up", 1),
    ]


def test_a_required_argument_and_an_unknown_one_are_told_in_words():
    with pytest.raises(InvalidMetricError) as caught:
        Pair.check({"lefd": 1})
    assert str(caught.value) == (
        "left: None is not allowed: it is required; lefd: 1 is not a known field: left, right"
    )


def test_only_literal_values_are_checked_while_a_dag_is_parsed():
    Pair.check_literals({"left": "{{ var.value.left }}", "right": 1})
    with pytest.raises(InvalidMetricError) as caught:
        Pair.check_literals({"left": "{{ var.value.left }}", "right": "b"})
    assert [error.field for error in caught.value.errors] == ["right"]


@pytest.fixture
def xcom():
    with DAG("any", schedule=None):

        @task
        def number() -> int:
            return 1

        return number()


@pytest.mark.parametrize(
    "value",
    [
        "{{ ds }}",
        "before {{ ds }} after",
        "{% if x %}1{% endif %}",
        "{# a remark #}",
        ["a", "{{ ds }}"],
        ("a", ["b", {"c": "{{ ds }}"}]),
        {"{{ ds }}"},
        {"a": {"b": "{{ ds }}"}},
    ],
)
def test_jinja_is_a_template_however_deep(value):
    assert is_templated(value)


@pytest.mark.parametrize(
    "wrap", [lambda x: x, lambda x: x["key"], lambda x: [x], lambda x: {"a": ("b", [x])}]
)
def test_an_xcom_is_a_template_however_deep(xcom, wrap):
    assert is_templated(wrap(xcom))


def test_a_dag_parameter_is_a_template():
    with DAG("any", schedule=None, params={"score": 1}) as dag:
        assert is_templated(dag.param("score"))


@pytest.mark.parametrize("value", ["a", "{ds}", "}}", 1, None, b"{{", ["a"], {"{{ key }}": "a"}, (), {}])
def test_anything_else_is_literal(value):
    assert not is_templated(value)


@pytest.mark.parametrize(
    "value",
    [
        ID,
        ID.upper(),
        ID.replace("-", ""),
        f"{{{ID}}}",
        f"urn:uuid:{ID}",
        UUID(ID),
    ],
)
def test_a_uuid_in_any_spelling_becomes_the_usual_one(value):
    assert uuid(value) == ID


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "abc",
        ID[:-1],
        f"{ID}0",
        f"{ID}\n",
        f" {ID}",
        f"../{ID}",
        f"{ID}/../..",
        f"{ID}?a=b",
        f"{ID}#a",
        f"{ID}%2f",
        ID.replace("3", "g", 1),
        "0x" + ID.replace("-", "")[2:],
        "+" + ID.replace("-", "")[1:],
        " " + ID.replace("-", "")[1:],
        ID.replace("-", "")[:-1] + "\n",
        ID.replace("-", "")[:4] + "_" + ID.replace("-", "")[5:],
        ID.encode(),
        b"\x00" * 16,
        0,
        1.5,
        True,
        None,
        [ID],
        {},
        "\ud800",
    ],
)
def test_what_is_no_uuid_is_refused(value):
    with pytest.raises(PydanticCustomError, match="a UUID"):
        uuid(value)


@given(st.uuids(), st.integers(0, 31), st.characters())
def test_a_uuid_with_one_foreign_character_never_becomes_another_uuid(given_id, place, character):
    digits = given_id.hex
    try:
        found = uuid(digits[:place] + character + digits[place + 1 :])
    except PydanticCustomError:
        return
    assert found.replace("-", "") == digits[:place] + character.lower() + digits[place + 1 :]


@given(st.one_of(st.text(), st.binary(), st.integers(), st.text("0123456789abcdefABCDEF-/?.{}", max_size=40)))
def test_whatever_is_given_only_a_uuid_gets_through(value):
    try:
        found = uuid(value)
    except PydanticCustomError:
        return
    assert str(UUID(found)) == found


@pytest.mark.parametrize("minimum", [0, 1])
@pytest.mark.parametrize("length", [0, 1, 254, 255, 256])
def test_text_is_counted_in_characters(minimum, length):
    for character in ("a", "é", "漢", "😀"):
        value = character * length
        if minimum <= length <= 255:
            assert text(minimum, 255)(value) == value
        else:
            with pytest.raises(PydanticCustomError, match="255 characters"):
                text(minimum, 255)(value)


@pytest.mark.parametrize("value", [None, 1, True, b"a", ["a"], {"a": 1}])
def test_only_text_is_text(value):
    with pytest.raises(PydanticCustomError, match="text of at most 255 characters"):
        text(0, 255)(value)


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb"])
def test_half_a_character_cannot_be_sent(value):
    with pytest.raises(PydanticCustomError, match="UTF-8"):
        text(0, 255)(value)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (["a"], {"a"}),
        (["a", "b", "a"], {"a", "b"}),
        (("a",), {"a"}),
        ({"a", "b"}, {"a", "b"}),
        (["x" * 255], {"x" * 255}),
    ],
)
def test_names_come_as_a_list(value, found):
    assert names(value) == optional_names(value) == found


def test_names_that_are_optional_may_be_none():
    assert optional_names(None) is None
    with pytest.raises(PydanticCustomError):
        names(None)


@pytest.mark.parametrize(
    "value",
    ["a", "['a']", b"a", [], (), set(), 1, True, [""], ["x" * 256], ["a", None], [["a"]], [1], ["\ud800"]],
)
def test_anything_else_is_no_list_of_names(value):
    with pytest.raises(PydanticCustomError):
        optional_names(value)


def test_a_list_that_a_template_rendered_as_text_is_explained():
    with pytest.raises(PydanticCustomError, match="render_template_as_native_obj"):
        names("['a', 'b']")


@pytest.mark.parametrize("value", [1, 2, 10**6])
def test_a_whole_number_is_taken(value):
    assert whole_number(1)(value) == value


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None, float("nan")])
def test_anything_else_is_no_whole_number(value):
    with pytest.raises(PydanticCustomError, match="a whole number of at least 1"):
        whole_number(1)(value)


@pytest.mark.parametrize(("value", "taken"), [(0, False), (1, True), (5, True), (6, False)])
def test_a_whole_number_may_have_an_upper_limit_too(value, taken):
    if taken:
        assert whole_number(1, 5)(value) == value
    else:
        with pytest.raises(PydanticCustomError, match="a whole number from 1 to 5"):
            whole_number(1, 5)(value)


NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (None, None),
        (NOON, NOON),
        (NOON.astimezone(timezone(timedelta(hours=5, minutes=30))), NOON),
        (pendulum.datetime(2026, 1, 2, 12), NOON),
        ("2026-01-02T12:00:00Z", NOON),
        ("2026-01-02T12:00:00.000000Z", NOON),
        ("2026-01-02T13:00:00+01:00", NOON),
        ("2026-01-02T12:00:00", NOON),
        ("2026-01-02 12:00:00+00:00", NOON),
        ("20260102T120000Z", NOON),
        ("2026-01-02", NOON - timedelta(hours=12)),
        (str(pendulum.datetime(2026, 1, 2, 12)), NOON),
        (NOON.isoformat(), NOON),
    ],
)
def test_a_point_in_time_may_be_a_datetime_or_text(value, moment):
    assert point_in_time(value) == moment


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 2, 12),
        date(2026, 1, 2),
        1767355200,
        True,
        "",
        " ",
        "yesterday",
        "now",
        "12:00",
        "P1D",
        "2026-01-02/2026-01-03",
        "2026-13-01",
        "2026-01-02T25:00:00Z",
        "None",
        ["2026-01-02"],
    ],
)
def test_what_is_no_fixed_point_in_time_is_refused(value):
    with pytest.raises(PydanticCustomError, match="an ISO 8601 time or a datetime with a timezone"):
        point_in_time(value)


@given(
    st.one_of(
        st.text(max_size=40),
        st.text("0123456789-+:TZW/P. ", max_size=40),
        st.datetimes().map(datetime.isoformat),
        st.from_regex(r"\A\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([+-]\d{2}:?\d{2}|Z)?\Z"),
    )
)
def test_any_text_is_a_point_in_time_or_a_value_error(value):
    try:
        moment = parse_time(value)
    except ValueError:
        return
    assert moment.utcoffset() is not None


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_written_time_reads_as_the_same_time(moment):
    assert parse_time(moment.isoformat()) == moment


@pytest.mark.parametrize(
    ("value", "found"),
    [(0, 0), (1, 1), (0.5, 0.5), ("0.5", 0.5), ("1", 1), (Decimal("0.25"), 0.25), (1.0, 1)],
)
def test_a_number_may_be_the_text_of_a_template(value, found):
    assert number(0, 1)(value) == found
    assert isinstance(number(0, 1)(value), type(found))


@pytest.mark.parametrize(
    "value", [-0.1, 1.1, "1.1", "", "x", True, None, [1], float("nan"), "nan", "inf", 10**400]
)
def test_what_is_no_number_within_its_limits_is_refused(value):
    with pytest.raises(PydanticCustomError, match="a number from 0 to 1"):
        number(0, 1)(value)


@pytest.mark.parametrize(("value", "found"), [(1, 1), ("1", 1), ("007", 7)])
def test_a_count_may_be_the_text_of_a_template(value, found):
    assert count(1)(value) == found


@pytest.mark.parametrize("value", [0, "0", "-1", "1.0", 1.0, "", "one", True, None])
def test_what_is_no_count_is_refused(value):
    with pytest.raises(PydanticCustomError, match="a whole number of at least 1"):
        count(1)(value)


@pytest.mark.parametrize("value", [[], (1, 2), {1}, iter([1]), range(3)])
def test_what_can_be_read_is_a_list(value):
    assert is_list(value)
    assert isinstance(listed("field", value), list)


@pytest.mark.parametrize("value", ["text", b"bytes", {"a": 1}, None, 5])
def test_what_cannot_be_read_item_by_item_is_no_list(value):
    with pytest.raises(InvalidMetricError, match=r"field: .* is not a list, or the URI of a file"):
        listed("field", value)


def test_an_xcom_that_is_yet_to_come_is_no_list(xcom):
    assert not is_list(xcom)
