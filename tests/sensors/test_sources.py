"""What the sensors of all sources have in common."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_provider_zelto.exceptions import (
    APIResponseValidationError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    InvalidConnectionError,
    InvalidMetricError,
    MissingValueError,
    PermissionDeniedError,
)
from tests.conftest import API_KEY
from tests.sensors.waiting import CALL_MODES, RUN, deferral_of
from tests.sources import LOCAL_SOURCES, host

pytest_plugins = ["tests.source_fixtures"]

pytestmark = pytest.mark.usefixtures("short_pauses")

CHOICES = ["succeed", "fail", "skip"]


def make_sensor(source, mode, call=None, names=None, **arguments):
    defaults = {"task_id": "wait", "poke_interval": 0.03, "timeout": 20, **CALL_MODES[mode]}
    named = {
        source.id_field: call or source.example_id,
        source.names_field: list(names or source.metrics[:1]),
    }
    return source.sensor(**{**defaults, **named, **arguments})


@pytest.fixture(params=CALL_MODES)
def wait(request, source):
    """Wait in each of the modes: ``wait(call, metrics)`` gives what the sensor puts into XCom."""

    def run(call=None, names=None, **arguments):
        return RUN[request.param](lambda: make_sensor(source, request.param, call, names, **arguments))

    run.mode = request.param
    return run


@pytest.fixture
def impatient(emulator, source, connect_source):
    """A connection that repeats no request, so that what is counted are the sensor's questions."""
    connect_source(source.name, host(emulator, source.name), extra={"max_retries": 0, "timeout": 2})


@pytest.fixture
def call(source):
    return source.add_call()


def questions(emulator):
    return [entry["status"] for entry in emulator.journal()]


def test_a_wait_is_over_at_once_when_all_is_computed(wait, emulator, source, call):
    first, second, other = source.metrics
    source.add(call, first, 4)
    source.add(call, second, "calm")
    source.add(call, other, 1)
    found = wait(call, [first, second])
    assert source.values(found) == {first: [4], second: ["calm"]}
    assert json.loads(json.dumps(found)) == found
    assert questions(emulator) == [200]


def test_a_metric_that_is_being_computed_keeps_it_waiting(wait, emulator, source, call):
    metric = source.metrics[0]
    source.add(call, metric, 0, after=0.6)
    assert source.values(wait(call)) == {metric: [0]}
    assert len(questions(emulator)) > 1


def test_metrics_may_arrive_in_waves(wait, emulator, source, call):
    text, audio, _ = source.metrics
    source.add(call, text, "ok")
    source.add(call, audio, 0.5, after=0.6)
    assert source.values(wait(call, [text, audio])) == {text: ["ok"], audio: [0.5]}
    assert len(questions(emulator)) > 1


def test_a_metric_that_never_gets_a_value_fails_it_at_once_and_for_good(wait, emulator, source, call):
    metric, never, _ = source.metrics
    source.add_missing(call, metric)
    with pytest.raises(MissingValueError) as caught:
        wait(call, [metric, never])
    assert isinstance(caught.value, AirflowFailException)
    assert str(caught.value) == (
        f"Computed without a value, or failed: {metric}. on_missing_value='succeed' takes them as they are."
    )
    assert questions(emulator) == [200]


def test_a_metric_that_never_gets_a_value_skips_it_at_once_on_request(wait, emulator, source, call):
    metric, never, _ = source.metrics
    source.add_missing(call, metric)
    with pytest.raises(AirflowSkipException, match=f"Computed without a value, or failed: {metric}"):
        wait(call, [metric, never], on_missing_value="skip")
    assert questions(emulator) == [200]


@pytest.mark.parametrize(("choice", "error"), [("fail", MissingValueError), ("skip", AirflowSkipException)])
def test_a_value_that_turns_out_to_be_missing_later_ends_it_then(wait, emulator, source, call, choice, error):
    source.add_missing(call, source.metrics[0], after=0.6)
    with pytest.raises(error):
        wait(call, source.metrics[:2], on_missing_value=choice)
    assert len(questions(emulator)) > 1


def test_a_missing_value_may_be_welcome_when_all_is_computed(wait, emulator, source, call):
    metric, slow, _ = source.metrics
    source.add_missing(call, metric)
    source.add(call, slow, 1, after=0.6)
    found = wait(call, [metric, slow], on_missing_value="succeed")
    assert source.values(found) == {metric: [None], slow: [1]}
    assert len(questions(emulator)) > 1


@pytest.mark.parametrize("choice", CHOICES)
def test_a_metric_with_one_value_among_several_has_a_value(wait, source, call, choice):
    metric = source.metrics[0]
    source.add_missing(call, metric)
    source.add(call, metric, 3)
    (values,) = source.values(wait(call, on_missing_value=choice)).values()
    assert sorted(values, key=str) == [3, None]


@pytest.mark.parametrize("choice", CHOICES)
def test_a_missing_value_that_nobody_waits_for_does_not_matter(wait, source, call, choice):
    metric, other, _ = source.metrics
    source.add(call, metric, 1)
    source.add_missing(call, other)
    assert source.values(wait(call, on_missing_value=choice)) == {metric: [1]}


def test_a_call_that_the_source_does_not_know_yet_keeps_it_waiting(wait, emulator, source, impatient):
    call = source.add_call(available_after=0.6)
    source.add(call, source.metrics[0], 1)
    assert wait(call, max_consecutive_failures=1)
    assert questions(emulator)[:2] == [404, 404]


@pytest.mark.parametrize(
    "fault",
    [{"status": 503}, {"status": 429, "retry_after": 3600}, {"body": "<html>"}],
    ids=str,
)
def test_passing_failures_keep_it_waiting(wait, emulator, source, call, impatient, fault):
    source.add(call, source.metrics[0], 1)
    emulator.fault(**fault, count=2)
    assert wait(call, max_consecutive_failures=3)
    assert len(questions(emulator)) >= 3


@pytest.mark.parametrize(
    ("fault", "error_class"),
    [
        ({"status": 503}, InternalServerError),
        ({"body": "<html>"}, APIResponseValidationError),
    ],
    ids=str,
)
def test_too_many_failures_in_a_row_end_it_with_the_last_cause(
    wait, emulator, source, call, impatient, fault, error_class
):
    emulator.fault(**fault)
    with pytest.raises(error_class) as caught:
        wait(call, max_consecutive_failures=2)
    assert type(caught.value) is error_class
    assert caught.value.service == source.title
    # A deferrable sensor asks once before it defers.
    asked = {entry["n"] for entry in emulator.journal()}
    assert len(asked) == (3 if wait.mode == "deferrable" else 2)


@pytest.mark.parametrize(
    ("status", "error_class"),
    [(400, BadRequestError), (401, AuthenticationError), (403, PermissionDeniedError)],
)
def test_a_refusal_ends_it_at_once_and_for_good(wait, emulator, source, call, impatient, status, error_class):
    emulator.fault(body=source.empty_answer, count=1)
    emulator.fault(status=status)
    with pytest.raises(error_class) as caught:
        wait(call)
    assert isinstance(caught.value, AirflowFailException)
    assert questions(emulator) == [200, status]


def test_a_wait_times_out(wait, emulator, source, call):
    with pytest.raises(AirflowSensorTimeout):
        wait(call, timeout=0.2)
    assert len(questions(emulator)) > 1


@pytest.mark.parametrize("softly", ["soft_fail", "never_fail"])
class TestSkippingInsteadOfFailing:
    def test_after_a_timeout(self, wait, call, softly):
        with pytest.raises(AirflowSkipException):
            wait(call, timeout=0.1, **{softly: True})

    def test_when_a_value_is_missing(self, wait, source, call, softly):
        source.add_missing(call, source.metrics[0], after=0.05)
        with pytest.raises(AirflowSkipException):
            wait(call, **{softly: True})

    def test_after_a_refusal_that_came_late(self, wait, emulator, call, impatient, softly):
        emulator.fault(status=404, count=2)
        emulator.fault(status=401)
        with pytest.raises(AirflowSkipException):
            wait(call, **{softly: True})
        assert questions(emulator) == [404, 404, 401]

    def test_with_a_connection_that_cannot_be_used(self, wait, source, connect_source, softly):
        connect_source(source.name, "http://api.example.com")
        with pytest.raises(AirflowSkipException):
            wait(**{softly: True})


def test_a_connection_that_cannot_be_used_fails_it(wait, source, connect_source):
    connect_source(source.name, "http://api.example.com")
    with pytest.raises(InvalidConnectionError, match=f"{source.name}_default"):
        wait()


def test_arguments_that_were_rendered_badly_fail_it_before_anything_is_asked(wait, emulator, source):
    for field in (source.id_field, source.names_field):
        with pytest.raises(InvalidMetricError) as caught:
            wait(**{field: "{{ was not rendered }}"})
        assert [error.field for error in caught.value.errors] == [field]
    assert emulator.journal() == []


SOURCE = pytest.mark.parametrize("source", LOCAL_SOURCES.values(), ids=LOCAL_SOURCES)
TEMPLATE = "{{ params.anything }}"


@SOURCE
@pytest.mark.parametrize("mode", CALL_MODES)
def test_a_literal_that_breaks_a_limit_is_refused_when_the_dag_is_parsed(source, mode):
    bad = {source.id_field: source.bad_id, source.names_field: [], "on_missing_value": "wait"}
    for field, value in bad.items():
        with pytest.raises(InvalidMetricError) as caught:
            make_sensor(source, mode, **{field: value})
        assert [error.field for error in caught.value.errors] == [field]
    with pytest.raises(InvalidMetricError) as caught:
        make_sensor(source, mode, **bad)
    assert {error.field for error in caught.value.errors} == bad.keys()


@SOURCE
def test_a_template_is_not_checked_before_it_is_rendered(source):
    assert make_sensor(source, "poke", TEMPLATE)
    assert make_sensor(source, "poke", **{source.names_field: TEMPLATE})
    assert make_sensor(source, "poke", **{source.names_field: ["a", TEMPLATE]})


@SOURCE
@pytest.mark.parametrize("key", [None, "key"])
def test_an_xcom_may_stand_in_any_templated_argument(source, xcom, key):
    part = xcom if key is None else xcom[key]
    for number, field in enumerate((source.id_field, source.names_field)):
        sensor = make_sensor(source, "poke", task_id=f"wait_{number}", **{field: part})
        assert sensor.upstream_task_ids == {"anything"}


@SOURCE
def test_the_arguments_are_templated(source):
    conn_id = f"{source.name}_conn_id"
    sensor = make_sensor(source, "poke", "{{ a }}", ["{{ b }}", "x"], **{conn_id: "{{ c }}"})
    sensor.render_template_fields({letter: letter.upper() for letter in "abc"})
    assert [getattr(sensor, field) for field in sensor.template_fields] == ["A", ["B", "x"], "C"]


def test_names_may_be_rendered_as_a_native_list(source, call):
    first, second, _ = source.metrics
    source.add(call, first, 1)
    source.add(call, second, 2)
    with DAG("native", schedule=None, render_template_as_native_obj=True):
        sensor = make_sensor(source, "poke", TEMPLATE, **{source.names_field: "{{ params.names }}"})
    sensor.render_template_fields({"params": {"anything": call, "names": [first, second]}})
    assert source.values(sensor.execute({})) == {first: [1], second: [2]}


def test_a_wait_uses_the_connection_it_is_given(wait, emulator, source, call, connect_source):
    connect_source(source.name, "http://127.0.0.1:1")
    connect_source(source.name, host(emulator, source.name), conn_id="other")
    source.add(call, source.metrics[0], 1, after=0.05)
    assert wait(call, **{f"{source.name}_conn_id": "other"})


def test_a_wait_says_in_the_log_what_was_computed(wait, source, call, logged):
    first, second, _ = sorted(source.metrics)
    source.add(call, first, 1)
    source.add_missing(call, second)
    wait(call, [first, second], on_missing_value="succeed")
    lines = [line for line in logged() if first in line.text]
    assert lines == [("INFO", f"Computed: {[first, second]!r}; without a value: {[second]!r}.")]


def test_neither_what_airflow_stores_nor_the_log_shows_the_key(wait, source, call, logged):
    source.add(call, source.metrics[0], 1, after=0.05)
    found = wait(call)
    assert API_KEY not in json.dumps(found)
    assert [line for line in logged() if API_KEY in line.text] == []


def test_a_deferral_hands_everything_to_the_trigger(source, call, emulator, connect_source):
    connect_source(source.name, host(emulator, source.name), conn_id="other")
    first, second, _ = sorted(source.metrics)
    sensor = make_sensor(
        source,
        "deferrable",
        call,
        [second, first],
        on_missing_value="skip",
        poke_interval=7,
        timeout=timedelta(minutes=1),
        max_consecutive_failures=3,
        **{f"{source.name}_conn_id": "other"},
    )
    deferral = deferral_of(sensor)
    assert deferral.timeout == timedelta(minutes=1)
    assert deferral.method_name == "execute_complete"
    assert deferral.trigger.serialize() == (
        f"airflow_provider_zelto.triggers.{source.name}.{source.trigger.__name__}",
        {
            source.id_field: call,
            source.names_field: [first, second],
            "on_missing_value": "skip",
            f"{source.name}_conn_id": "other",
            "poke_interval": 7,
            "max_consecutive_failures": 3,
        },
    )
