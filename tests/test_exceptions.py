from __future__ import annotations

import json
import pickle

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_zelto.exceptions import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientError,
    FieldError,
    InternalServerError,
    InvalidConnectionError,
    InvalidMetricError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    error_from_json,
    error_to_json,
    status_error_class,
)

ORIGIN = {"service": "Zelto", "method": "POST", "path": "/v1/conversations/1/customer-metrics"}
WITHOUT_STATUS = [APIError, APIConnectionError, APITimeoutError, APIResponseValidationError]
WITH_STATUS = [
    APIStatusError,
    BadRequestError,
    AuthenticationError,
    PermissionDeniedError,
    NotFoundError,
    RateLimitError,
    InternalServerError,
    ClientError,
]


def make(error_class: type[APIError]) -> APIError:
    if issubclass(error_class, APIStatusError):
        return error_class(
            "It said no — “nein”.", **ORIGIN, status_code=418, details={"label": ["too", 1]}, retry_after=2.5
        )
    return error_class("It said no — “nein”.", **ORIGIN)


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (408, APIStatusError),
        (429, RateLimitError),
        *((status, ClientError) for status in (402, 405, 407, 409, 410, 413, 415, 418, 422, 431, 451, 499)),
        *((status, InternalServerError) for status in (500, 501, 502, 503, 504, 511, 520, 599)),
    ],
)
def test_each_status_has_its_class(status, error_class):
    assert status_error_class(status) is error_class


@pytest.mark.parametrize(
    ("error_class", "fails_at_once"),
    [
        (InvalidMetricError, True),
        (InvalidConnectionError, True),
        (BadRequestError, True),
        (AuthenticationError, True),
        (PermissionDeniedError, True),
        (ClientError, True),
        (APIError, False),
        (APIConnectionError, False),
        (APITimeoutError, False),
        (APIResponseValidationError, False),
        (APIStatusError, False),
        (NotFoundError, False),
        (RateLimitError, False),
        (InternalServerError, False),
    ],
)
def test_a_task_is_retried_only_where_asking_again_can_help(error_class, fails_at_once):
    assert issubclass(error_class, AirflowException)
    assert issubclass(error_class, AirflowFailException) == fails_at_once


@pytest.mark.parametrize("error_class", [InvalidMetricError, InvalidConnectionError])
def test_a_bad_value_is_a_value_error_too(error_class):
    assert issubclass(error_class, ValueError)
    assert not issubclass(error_class, APIError)


@pytest.mark.parametrize("error_class", WITHOUT_STATUS + WITH_STATUS)
def test_every_error_says_which_request_failed(error_class):
    error = make(error_class)
    assert error.message == str(error) == "It said no — “nein”."
    assert (error.service, error.method, error.path) == tuple(ORIGIN.values())


@pytest.mark.parametrize("error_class", WITH_STATUS)
def test_a_status_error_carries_what_the_service_answered(error_class):
    error = make(error_class)
    assert (error.status_code, error.details, error.retry_after) == (418, {"label": ["too", 1]}, 2.5)
    bare = error_class("No.", **ORIGIN, status_code=500)
    assert (bare.details, bare.retry_after) == (None, None)


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), lambda e: through_json(e)])
@pytest.mark.parametrize("error_class", WITHOUT_STATUS + WITH_STATUS)
def test_every_error_survives_pickling_and_json(error_class, copied):
    error = make(error_class)
    copy = copied(error)
    assert type(copy) is error_class
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def through_json(error: APIError) -> APIError:
    return error_from_json(json.loads(json.dumps(error_to_json(error), allow_nan=False)))


@pytest.mark.parametrize("error_class", [NotFoundError, APITimeoutError])
def test_an_error_with_a_note_and_a_cause_still_becomes_json(error_class):
    error = make(error_class)
    error.add_note("seen in passing")
    error.__cause__ = OSError("gone")
    assert through_json(error).message == error.message


@pytest.mark.parametrize(
    "error",
    [
        InvalidMetricError(
            [FieldError("label", "", "text"), FieldError("labels", ["a", 1], "a list of names")]
        ),
        InvalidConnectionError("Connection 'zelto_default': host: 'ftp://x' is not an http(s) URL"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_no_service_has_said_survives_json_too(error):
    copy = through_json(error)
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_a_value_that_is_no_json_is_shown_in_it():
    (detail,) = through_json(InvalidMetricError([FieldError("labels", {1}, "a list of names")])).errors
    assert detail == FieldError("labels", "{1}", "a list of names")


def test_an_invalid_metric_survives_pickling():
    error = InvalidMetricError([FieldError("label", "", "text"), FieldError("score", 101, "a number")])
    copy = pickle.loads(pickle.dumps(error))
    assert copy.errors == error.errors
    assert str(copy) == str(error) == "label: '' is not text; score: 101 is not a number"
    assert pickle.loads(pickle.dumps(InvalidConnectionError("no"))).args == ("no",)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (101, "score: 101 is not right"),
        ("a" * 78, f"score: {'a' * 78!r} is not right"),
        ("a" * 79, f"score: '{'a' * 59}… (79 characters) is not right"),
        ("a" * 5001, f"score: '{'a' * 59}… (5001 characters) is not right"),
        (list(range(100)), f"score: {str(list(range(100)))[:60]}… is not right"),
    ],
)
def test_a_long_value_is_cut_short_in_the_message(value, shown):
    assert str(FieldError("score", value, "right")) == shown
