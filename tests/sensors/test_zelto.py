from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_provider_zelto.exceptions import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    InvalidConnectionError,
    InvalidMetricError,
    PermissionDeniedError,
)
from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor
from tests.answers import CALL
from tests.conftest import AIRFLOW_VERSION, Run
from tests.dags import zelto_waits
from tests.sensors.waiting import CALL_MODES, RUN, deferral_of

pytestmark = pytest.mark.usefixtures("short_pauses")


def make_sensor(mode, conversation_id=CALL, **arguments):
    options = {"task_id": "wait", "poke_interval": 0.05, "timeout": 20, **CALL_MODES[mode], **arguments}
    return CustomerMetricsSensor(conversation_id=conversation_id, **options)


@pytest.fixture(params=CALL_MODES)
def wait(request):
    """Wait in each of the modes: ``wait(call, labels=[...])`` gives what the sensor puts into XCom."""

    def run(conversation_id=CALL, **arguments):
        return RUN[request.param](lambda: make_sensor(request.param, conversation_id, **arguments))

    run.mode = request.param
    return run


def questions(emulator):
    return [entry["status"] for entry in emulator.journal()]


def test_a_wait_is_over_at_once_when_all_is_there(wait, emulator, call):
    emulator.add_metric(call, "b", score=1)
    emulator.add_metric(call, "a", verdict="pass")
    found = wait(call, labels=["a", "b"])
    assert found == sorted(emulator.metrics(call), key=lambda metric: metric["label"])
    assert json.loads(json.dumps(found)) == found
    assert len(emulator.journal()) == 1


def test_a_wait_goes_on_until_all_is_there(wait, emulator, call):
    emulator.add_metric(call, "a", score=1)
    emulator.add_metric(call, "b", score=2, after=0.6)
    found = wait(call, labels=["a", "b"])
    assert [metric["label"] for metric in found] == ["a", "b"]
    assert found == emulator.metrics(call)
    assert len(emulator.journal()) > 1


def test_a_wait_for_a_number_of_metrics_gives_them_all(wait, emulator, call):
    emulator.add_metric(call, "b", score=1)
    emulator.add_metric(call, "a", score=1, after=0.6)
    assert [metric["label"] for metric in wait(call, min_count=2)] == ["a", "b"]
    assert [metric["label"] for metric in wait(call)] == ["a", "b"]


def test_only_the_labels_asked_for_are_given(wait, emulator, call):
    for label in ("a", "b", "c"):
        emulator.add_metric(call, label, score=1)
    assert [metric["label"] for metric in wait(call, labels=["c", "a"])] == ["a", "c"]


def test_a_call_that_zelto_does_not_know_yet_keeps_it_waiting(wait, emulator, impatient):
    call = emulator.add_conversation(available_after=0.6)
    emulator.add_metric(call, "a", score=1)
    assert [metric["label"] for metric in wait(call, max_consecutive_failures=1)] == ["a"]
    assert questions(emulator)[:2] == [404, 404]


@pytest.mark.parametrize(
    "form",
    [lambda moment: moment, pendulum.instance, datetime.isoformat, str],
    ids=["datetime", "pendulum", "iso", "rendered"],
)
def test_a_stale_metric_does_not_end_a_wait(wait, emulator, call, form):
    emulator.add_metric(call, "a", score=1)
    now = datetime.now(UTC)
    emulator.add_metric(call, "a", score=2, after=0.6)
    (found,) = wait(call, labels=["a"], updated_after=form(now))
    assert found["score"] == 2
    assert len(emulator.journal()) > 1


def test_a_metric_updated_at_exactly_that_time_ends_a_wait(wait, emulator, call):
    emulator.add_metric(call, "a", score=1)
    (stored,) = emulator.metrics(call)
    assert wait(call, labels=["a"], updated_after=stored["updatedAt"]) == [stored]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 429, "retry_after": 0},
        {"status": 408},
        {"action": "reset"},
        {"action": "cut_body"},
        {"action": "html", "status": 200},
        {"body": {"metrics": []}},
        {"action": "hang"},
    ],
    ids=str,
)
def test_passing_failures_keep_it_waiting(wait, emulator, call, impatient, fault):
    if fault == {"action": "hang"}:
        impatient(timeout=0.5)
    emulator.add_metric(call, "a", score=1)
    emulator.fault(**fault, count=2)
    assert [metric["label"] for metric in wait(call, max_consecutive_failures=3)] == ["a"]
    assert len(emulator.journal()) >= 3


@pytest.mark.parametrize(
    ("fault", "error_class"),
    [
        ({"status": 503}, InternalServerError),
        ({"action": "reset"}, APIConnectionError),
        ({"action": "hang"}, APITimeoutError),
        ({"action": "html", "status": 200}, APIResponseValidationError),
    ],
)
def test_too_many_failures_in_a_row_end_it_with_the_last_cause(
    wait, emulator, call, impatient, fault, error_class
):
    if fault == {"action": "hang"}:
        impatient(timeout=0.1)
    emulator.fault(**fault)
    with pytest.raises(error_class) as caught:
        wait(call, max_consecutive_failures=3)
    assert type(caught.value) is error_class
    assert not isinstance(caught.value, AirflowFailException)


def test_as_many_failures_as_allowed_are_borne(wait, emulator, call, impatient):
    emulator.fault(status=503)
    with pytest.raises(InternalServerError):
        wait(call, max_consecutive_failures=3)
    # A deferrable sensor asks once before the trigger begins to count.
    assert questions(emulator) == [503] * (4 if wait.mode == "deferrable" else 3)


def test_failures_with_answers_in_between_do_not_end_it(wait, emulator, call, impatient):
    emulator.fault(status=503, every=2)
    emulator.add_metric(call, "a", score=1, after=0.7)
    assert wait(call, max_consecutive_failures=2)
    assert questions(emulator).count(503) > 2


@pytest.mark.parametrize(
    ("status", "error_class"),
    [(400, BadRequestError), (401, AuthenticationError), (403, PermissionDeniedError)],
)
def test_a_refusal_ends_it_at_once_and_for_good(wait, emulator, call, impatient, status, error_class):
    emulator.fault(status=200, body={"data": []}, count=1)
    emulator.fault(status=status)
    with pytest.raises(error_class) as caught:
        wait(call)
    assert isinstance(caught.value, AirflowFailException)
    assert caught.value.status_code == status
    assert questions(emulator) == [200, status]


def test_a_wait_times_out(wait, emulator, call):
    with pytest.raises(AirflowSensorTimeout):
        wait(call, timeout=0.3)
    assert len(emulator.journal()) > 2


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 404}])
def test_a_wait_times_out_while_the_service_fails_too(wait, emulator, call, impatient, fault):
    emulator.fault(**fault)
    with pytest.raises(AirflowSensorTimeout):
        wait(call, timeout=0.3, max_consecutive_failures=1000)
    assert len(emulator.journal()) > 2


@pytest.mark.parametrize("softly", ["soft_fail", "never_fail"])
class TestSkippingInsteadOfFailing:
    def test_after_a_timeout(self, wait, call, softly):
        with pytest.raises(AirflowSkipException):
            wait(call, timeout=0.2, **{softly: True})

    @pytest.mark.parametrize("status", [400, 401, 403, 503, 404])
    def test_after_failures(self, wait, emulator, call, impatient, softly, status):
        emulator.fault(status=status)
        with pytest.raises(AirflowSkipException):
            wait(call, timeout=0.3, max_consecutive_failures=2, **{softly: True})

    def test_after_a_refusal_that_came_late(self, wait, emulator, call, impatient, softly):
        emulator.fault(status=404, count=2)
        emulator.fault(status=401)
        with pytest.raises(AirflowSkipException):
            wait(call, **{softly: True})
        assert questions(emulator) == [404, 404, 401]

    def test_with_a_connection_that_cannot_be_used(self, wait, connect, softly):
        connect("http://api.zelto.ai")
        with pytest.raises(AirflowSkipException):
            wait(**{softly: True})

    def test_with_arguments_that_were_rendered_badly(self, wait, emulator, softly, request):
        # Before Airflow 3.3 a start in the triggerer takes no template, as the DAG's author hears at once.
        refused = request.node.callspec.params["wait"] == "triggerer" and AIRFLOW_VERSION < (3, 3)
        with pytest.raises(InvalidMetricError if refused else AirflowSkipException):
            wait("{{ was not rendered }}", **{softly: True})

    def test_but_what_was_found_is_given(self, wait, emulator, call, softly):
        emulator.add_metric(call, "a", score=1)
        assert wait(call, **{softly: True}) == emulator.metrics(call)


def test_a_connection_that_cannot_be_used_fails_it(wait, connect):
    connect("http://api.zelto.ai")
    with pytest.raises(InvalidConnectionError):
        wait()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"conversation_id": "{{ 'x' }}"}, "conversation_id"),
        ({"labels": "{{ params.labels }}"}, "labels"),
        ({"updated_after": "{{ 'soon' }}"}, "updated_after"),
    ],
)
def test_arguments_that_were_rendered_badly_fail_it_before_anything_is_asked(
    wait, emulator, arguments, field
):
    with pytest.raises(InvalidMetricError) as caught:
        wait(**arguments)
    assert [error.field for error in caught.value.errors] == [field]
    assert emulator.journal() == []


@pytest.mark.parametrize("mode", CALL_MODES)
@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"conversation_id": "x"}, ["conversation_id"]),
        ({"labels": "a"}, ["labels"]),
        ({"labels": []}, ["labels"]),
        ({"min_count": 0}, ["min_count"]),
        ({"labels": ["a"], "min_count": 2}, ["min_count"]),
        ({"updated_after": "soon"}, ["updated_after"]),
        ({"updated_after": datetime(2026, 1, 2)}, ["updated_after"]),
        (
            {"conversation_id": "{{ ds }}", "labels": [1], "min_count": True, "updated_after": 1},
            ["labels", "min_count", "updated_after"],
        ),
    ],
)
def test_a_literal_that_breaks_a_limit_is_refused_when_the_dag_is_parsed(mode, arguments, fields):
    with pytest.raises(InvalidMetricError) as caught:
        make_sensor(mode, **arguments)
    assert [error.field for error in caught.value.errors] == fields


TEMPLATE = "{{ params.anything }}"


@pytest.mark.parametrize(
    "arguments",
    [
        {"conversation_id": TEMPLATE},
        {"labels": TEMPLATE},
        {"labels": [TEMPLATE, "a"]},
        {"labels": TEMPLATE, "min_count": 50},
        {"updated_after": TEMPLATE},
    ],
)
def test_a_template_is_not_checked_before_it_is_rendered(arguments):
    assert make_sensor("poke", **arguments)


@pytest.mark.parametrize("field", ["conversation_id", "labels", "updated_after"])
@pytest.mark.parametrize("key", [None, "key"])
def test_an_xcom_may_stand_in_any_templated_argument(xcom, field, key):
    part = xcom if key is None else xcom[key]
    assert make_sensor("poke", **{field: part}).upstream_task_ids == {"anything"}


def test_the_arguments_are_templated():
    sensor = make_sensor(
        "poke", "{{ a }}", labels=["{{ b }}", "x"], updated_after="{{ c }}", zelto_conn_id="{{ d }}"
    )
    sensor.render_template_fields({letter: letter.upper() for letter in "abcd"})
    assert [getattr(sensor, field) for field in sensor.template_fields] == ["A", ["B", "x"], "C", "D"]


def test_a_rendered_interval_is_a_time_to_wait_from(emulator, call):
    sensor = make_sensor("poke", call, updated_after="{{ data_interval_start }}", timeout=0)
    emulator.add_metric(call, "a", score=1)
    sensor.render_template_fields({"data_interval_start": pendulum.now("UTC") - timedelta(hours=1)})
    assert sensor.execute({}) == emulator.metrics(call)


def test_a_wait_uses_the_connection_it_is_given(wait, emulator, connect, call):
    connect("http://127.0.0.1:1")
    connect(emulator.url, conn_id="zelto_other")
    emulator.add_metric(call, "a", score=1, after=0.1)
    assert wait(call, zelto_conn_id="zelto_other")


def test_a_wait_says_in_the_log_what_was_found(wait, emulator, call, logged):
    emulator.add_metric(call, "Tone", score=1, after=0.1)
    wait(call)
    lines = [line for line in logged() if call in line.text]
    assert lines == [("INFO", f"Call {call} has what was waited for: ['Tone'].")]


def test_a_wait_says_in_the_log_what_went_wrong_for_now(wait, emulator, call, impatient, logged):
    emulator.add_metric(call, "a", score=1)
    emulator.fault(status=503, count=2)
    wait(call)
    warnings = [line.text for line in logged() if line.level == "WARNING" and "503" in line.text]
    assert len(warnings) == 2
    assert all(call in warning for warning in warnings)


def test_a_deferral_hands_everything_to_the_trigger(emulator, connect, call):
    connect(emulator.url, conn_id="zelto_other")
    deferral = deferral_of(
        make_sensor(
            "deferrable",
            call.upper(),
            labels=["b", "a"],
            min_count=2,
            updated_after="2026-01-02",
            zelto_conn_id="zelto_other",
            poke_interval=7,
            timeout=timedelta(minutes=1),
            max_consecutive_failures=3,
        )
    )
    assert deferral.timeout == timedelta(minutes=1)
    assert deferral.method_name == "execute_complete"
    assert deferral.trigger.serialize() == (
        "airflow_provider_zelto.triggers.zelto.CustomerMetricsTrigger",
        {
            "conversation_id": call,
            "labels": ["a", "b"],
            "min_count": 2,
            "updated_after": "2026-01-02T00:00:00+00:00",
            "zelto_conn_id": "zelto_other",
            "poke_interval": 7,
            "max_consecutive_failures": 3,
        },
    )


@pytest.mark.parametrize(("configured", "deferrable"), [("True", True), ("False", False)])
def test_airflows_own_setting_decides_whether_to_defer(monkeypatch, configured, deferrable):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", configured)
    sensor = CustomerMetricsSensor(task_id="wait", conversation_id=CALL)
    assert sensor.deferrable == deferrable
    assert make_sensor("deferrable").deferrable
    assert not make_sensor("poke").deferrable


@pytest.mark.parametrize("softly", [{}, {"soft_fail": True}, {"never_fail": True}])
def test_a_trigger_that_broke_fails_the_task_or_skips_it(softly):
    sensor = make_sensor("deferrable", **softly)
    failure = {"error": "Trigger failure", "traceback": ["Traceback", "KeyError: 'x'"]}
    with pytest.raises(AirflowException) as caught:
        sensor.resume_execution("__fail__", failure, {})
    assert isinstance(caught.value, AirflowSkipException) == bool(softly)
    assert not isinstance(caught.value, AirflowFailException | AirflowSensorTimeout)


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 0), reason="Airflow 2 does not tell a task how long it has waited")
def test_a_rescheduled_sensor_counts_its_timeout_from_its_first_start(emulator, call, impatient, mocker):
    emulator.fault(status=503)
    ti = mocker.Mock()
    ti.get_first_reschedule_date.return_value = datetime.now(UTC) - timedelta(seconds=100)
    with pytest.raises(AirflowSensorTimeout):
        make_sensor("reschedule", call, timeout=99).execute({"ti": ti})
    assert len(emulator.journal()) == 1


@pytest.fixture(scope="module")
def run(airflow_db, local_zelto):
    """One run of the DAG whose sensors wait for the same in each mode."""
    local_zelto.reset()
    call = local_zelto.add_conversation()
    refused = json.dumps({**json.loads(local_zelto.connection_json()), "password": "wrong-key"})
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW_CONN_ZELTO_DEFAULT", local_zelto.connection_json())
        environment.setenv("AIRFLOW_CONN_ZELTO_REFUSED", refused)
        for seconds, mode in enumerate(zelto_waits.MODES, start=1):
            local_zelto.add_metric(call, f"Slow for {mode}", score=1)
            # Later than the start of the run, which is when its interval begins.
            local_zelto.add_metric(call, f"Slow for {mode}", score=2, after=seconds)
        finished = Run(zelto_waits.dag.test(run_conf={"conversation_id": call}))
    finished.stored = {metric["label"]: metric for metric in local_zelto.metrics(call)}
    return finished


@pytest.mark.parametrize("mode", zelto_waits.MODES)
def test_in_a_dag_a_wait_gives_the_fresh_metric_in_each_mode(run, mode):
    assert run.states[f"{mode}_slow"] == "success"
    stored = run.stored[f"Slow for {mode}"]
    assert stored["score"] == 2
    assert run.xcom(f"{mode}_slow") == [stored]


@pytest.mark.parametrize("mode", zelto_waits.MODES)
def test_in_a_dag_a_refusal_fails_a_wait_without_a_retry_in_each_mode(run, mode):
    task_instance = run.tasks[f"{mode}_refused", -1]
    assert (task_instance.state, task_instance.try_number) == ("failed", 1)
    assert task_instance.max_tries == 2


@pytest.mark.parametrize("mode", zelto_waits.MODES)
def test_in_a_dag_a_soft_wait_is_skipped_in_each_mode(run, mode):
    assert run.states[f"{mode}_soft"] == "skipped"
