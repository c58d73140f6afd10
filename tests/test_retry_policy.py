from __future__ import annotations

import copy
import json
import time
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowException,
    AirflowFailException,
    AirflowOptionalProviderFeatureException,
)
from airflow.serialization import serialized_objects

from airflow_provider_zelto.exceptions import (
    APITimeoutError,
    FieldError,
    InvalidMetricError,
    status_error_class,
)
from airflow_provider_zelto.operators.zelto import ListCustomerMetricsOperator
from airflow_provider_zelto.retry_policy import zelto_retry_policy
from tests.conftest import AIRFLOW_VERSION
from tests.dags.zelto_retries import dag as zelto_retries

ORIGIN = {"service": "Zelto", "method": "GET", "path": "/"}

has_policies = pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="retry policies came with Airflow 3.3")


def status_error(status, retry_after=None):
    return status_error_class(status)("x", **ORIGIN, status_code=status, retry_after=retry_after)


def decision(error):
    decided = zelto_retry_policy().evaluate(error, try_number=1, max_tries=3)
    return decided.action.value, decided.retry_delay, decided.reason


@pytest.mark.skipif(AIRFLOW_VERSION >= (3, 3), reason="Airflow has retry policies")
def test_an_older_airflow_is_told_which_version_it_takes():
    with pytest.raises(
        AirflowOptionalProviderFeatureException, match=r"needs Airflow 3\.3 or newer, this is "
    ):
        zelto_retry_policy()


@has_policies
@pytest.mark.parametrize(
    "error",
    [
        *(status_error(status, retry_after=5) for status in (400, 401, 403, 422)),
        InvalidMetricError([FieldError("score", 101, "a number from 0 to 100")]),
        AirflowFailException("any"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_asking_again_cannot_mend_fails(error):
    assert decision(error) == ("fail", None, f"{type(error).__name__}: asking again cannot help")


@has_policies
@pytest.mark.parametrize(
    ("status", "retry_after", "seconds"), [(429, 90, 90), (429, 0, 0), (503, 7.5, 7.5), (429, 1e30, 86400)]
)
def test_a_retry_waits_as_long_as_was_asked_for(status, retry_after, seconds):
    action, delay, reason = decision(status_error(status, retry_after))
    assert (action, delay) == ("retry", timedelta(seconds=seconds))
    assert "Zelto asked to wait" in reason


@has_policies
@pytest.mark.parametrize(
    "error",
    [
        *(status_error(status) for status in (404, 429, 500, 503)),
        APITimeoutError("x", **ORIGIN),
        AirflowException("any"),
        ValueError("any"),
    ],
    ids=repr,
)
def test_everything_else_is_left_to_the_task(error):
    assert decision(error) == ("default", None, None)


@has_policies
def test_a_policy_can_be_stored_and_copied():
    policy = copy.deepcopy(zelto_retry_policy())
    again = type(policy).deserialize(json.loads(json.dumps(policy.serialize())))
    assert again.evaluate(status_error(429, 3), 1, 2).retry_delay == timedelta(seconds=3)


@has_policies
def test_a_dag_with_the_policy_survives_being_stored():
    with DAG("any", schedule=None) as dag:
        ListCustomerMetricsOperator(task_id="t", conversation_id="{{ x }}", retry_policy=zelto_retry_policy())
    stored = serialized_objects.DagSerialization.to_dict(dag)
    loaded = serialized_objects.DagSerialization.from_dict(json.loads(json.dumps(stored)))
    assert loaded.task_dict["t"].has_retry_policy


@has_policies
def test_airflow_retries_a_task_after_what_the_service_asked_for(emulator, connect, call, run_dag):
    connect(emulator.url, extra={"max_retries": 0})
    emulator.fault(status=429, retry_after=1, count=1)
    began = time.monotonic()
    run = run_dag(zelto_retries, conversation_id=call)
    assert run.states == {"list": "success"}
    assert 1 <= time.monotonic() - began < 60  # its own retry_delay is an hour
    assert [entry["status"] for entry in emulator.journal()] == [429, 200]
