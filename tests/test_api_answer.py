from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_zelto.exceptions import (
    APIError,
    APIResponseValidationError,
    APIStatusError,
    RateLimitError,
    status_error_class,
)
from tests.answers import METRIC, PATH, read_answer


@pytest.mark.parametrize(
    "body", ["", "<html>", "null", "[]", "5", "{}", '"no"', '{"error": {"code": 1}}', '{"error": null}']
)
@pytest.mark.parametrize("status", [401, 404, 418, 500, 599])
def test_an_error_status_counts_whatever_the_body(body, status):
    with pytest.raises(APIStatusError) as caught:
        read_answer(status, body.encode())
    assert type(caught.value) is status_error_class(status)
    assert caught.value.status_code == status
    assert not re.search(r": ?\.|\.\.|  | $|\d to", str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"error": "e" * 100_000, "message": "m" * 100_000, "details": {"d": "d" * 100_000}}),
        "x" * 100_000,
    ],
    ids=["json", "text"],
)
def test_a_long_error_body_is_cut_short_in_the_message(body):
    with pytest.raises(APIStatusError) as caught:
        read_answer(400, body.encode())
    assert len(str(caught.value)) < 3_000


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not JSON",
        '{"data": [',
        '{"data": []} and more',
        "null",
        "[]",
        "{}",
        '{"data": null}',
        '{"data": {}}',
        '{"data": [{}]}',
        json.dumps({"data": [{**METRIC, "updatedAt": None}]}),
        json.dumps({"data": [{**METRIC, "updatedAt": "soon"}]}),
        json.dumps({"data": [{**METRIC, "score": "1"}]}),
        json.dumps({"data": [{**METRIC, "verdict": "maybe"}]}),
        json.dumps({"data": [{**METRIC, "score": float("nan")}]}),
        json.dumps({"data": [{**METRIC, "score": float("inf")}]}),
        json.dumps({"data": [{**METRIC, "note": "\ud800"}]}),
        "[" * 100_000,
    ],
    ids=lambda body: body[-40:],
)
def test_an_answer_that_is_not_as_documented_is_refused(body):
    with pytest.raises(APIResponseValidationError) as caught:
        read_answer(200, body.encode())
    assert len(str(caught.value)) < 1_000
    assert PATH in str(caught.value)


@pytest.mark.parametrize("status", [201, 204])
def test_an_empty_answer_is_refused(status):
    with pytest.raises(APIResponseValidationError):
        read_answer(status)


@given(st.binary(), st.integers(200, 599))
def test_whatever_is_answered_it_becomes_an_error_of_ours(body, status):
    with pytest.raises(APIError):
        read_answer(status, body)


def seconds_to_wait(value):
    with pytest.raises(RateLimitError) as caught:
        read_answer(429, retry_after=value)
    return caught.value.retry_after


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("7", 7), (" 60 ", 60), ("3600", 3600)])
def test_retry_after_may_be_seconds(value, seconds):
    assert seconds_to_wait(value) == seconds


@pytest.mark.parametrize(
    ("ahead", "seconds"), [(timedelta(0), 0), (timedelta(seconds=30), 30), (timedelta(days=-1), 0)]
)
def test_retry_after_may_be_a_date(ahead, seconds):
    moment = datetime.now(UTC) + ahead
    without_zone = moment.strftime("%a, %d %b %Y %H:%M:%S")
    for written in (format_datetime(moment, usegmt=True), format_datetime(moment), without_zone):
        assert seconds_to_wait(written) == pytest.approx(seconds, abs=5)


@pytest.mark.parametrize("value", ["", "-1", "1.5", "soon", "Mon, 01 Jan", "Mon, 99 Jan 2026 00:00:00 GMT"])
def test_any_other_retry_after_is_left_out_of_account(value):
    assert seconds_to_wait(value) is None


@given(
    st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
        st.builds(
            "{}{} {} {} {:02}:{:02}:{:02} {}".format,
            st.sampled_from(["", "Mon, "]),
            st.integers(0, 32),
            st.sampled_from(["Jan", "Feb", "Dec", "Foo"]),
            st.integers(0, 100_000),
            st.integers(0, 25),
            st.integers(0, 61),
            st.integers(0, 61),
            st.sampled_from(["GMT", "EST", "", "+0000", "-1200", "+9999", "-99999999", "Z"]),
        ),
    )
)
def test_no_retry_after_can_break_a_client(value):
    seconds = seconds_to_wait(value)
    assert seconds is None or seconds >= 0
