from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from airflow_provider_zelto.emulator.coval_outputs import Row
from airflow_provider_zelto.emulator.coval_query import MetricsQuery

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def row(name, value=None, *, created=0, started=None, ended=None):
    moments = [None if second is None else NOON + timedelta(seconds=second) for second in (started, ended)]
    return Row(
        metric_output_id=f"output-{created:02}",
        metric_id=f"metric-{name}",
        metric_name=name,
        output_type="float",
        status="COMPLETED",
        create_time=NOON + timedelta(seconds=created),
        start_time=moments[0],
        end_time=moments[1],
        value=value,
    )


ROWS = [
    row("b", 1.5, created=0, started=3, ended=4),
    row("c", 10, created=1, started=2, ended=6),
    row("a", -2, created=2, started=4, ended=5),
    row("e", "text", created=4, started=1),
    row("d", created=3),
]


def names(rows):
    return "".join(row.metric_name for row in rows)


@pytest.mark.parametrize(
    ("order_by", "order"),
    [
        ("metric_name", "abcde"),
        ("-metric_name", "edcba"),
        ("create_time", "bcade"),
        ("-create_time", "edacb"),
        ("start_time", "ecbad"),
        ("-start_time", "abced"),
        ("end_time", "bacde"),
        ("-end_time", "cabde"),
        ("value", "abcde"),
        ("-value", "cbade"),
    ],
)
def test_rows_are_sorted_and_those_without_what_is_asked_for_come_last(order_by, order):
    rows, token = MetricsQuery(order_by=order_by).page(ROWS)
    assert (names(rows), token) == (order, None)


def test_rows_are_sorted_by_name_when_nothing_is_asked_for():
    assert names(MetricsQuery().page(ROWS)[0]) == "abcde"


def test_outputs_of_one_metric_are_sorted_by_their_ids():
    rows = [row("a", created=second) for second in (2, 0, 1)]
    assert [row.metric_output_id for row in MetricsQuery().page(rows)[0]] == [
        "output-00",
        "output-01",
        "output-02",
    ]


@pytest.mark.parametrize("order_by", ["", "-", "name", "--value", "value desc", "metric_id", "VALUE"])
def test_an_unknown_order_is_refused(order_by):
    with pytest.raises(ValidationError, match="Must be one of metric_name"):
        MetricsQuery(order_by=order_by)


@given(
    count=st.integers(0, 40),
    page_size=st.integers(1, 15),
    order_by=st.sampled_from(["metric_name", "-create_time", "value", "-value"]),
)
def test_the_pages_hold_each_row_once_and_in_order(count, page_size, order_by):
    rows = [row(f"{number * 7 % 41:02}", number % 5 or None, created=number) for number in range(count)]
    query = {"order_by": order_by, "page_size": str(page_size)}
    walked, token, pages = [], None, 0
    while pages == 0 or token is not None:
        page, token = MetricsQuery.model_validate(
            query if token is None else {**query, "page_token": token}
        ).page(rows)
        assert len(page) == page_size or token is None
        walked += page
        pages += 1
    assert walked == MetricsQuery(order_by=order_by).page(rows)[0]
    assert pages == max(1, -(-count // page_size))
