from __future__ import annotations

import json
import time
import traceback
from datetime import datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_provider_zelto.exceptions import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    InvalidConnectionError,
    InvalidMetricError,
    PermissionDeniedError,
)
from airflow_provider_zelto.sensors import zelto as sensors
from airflow_provider_zelto.sensors.zelto import CALLS_IN_TRIGGER, CustomerMetricsCoverageSensor
from tests.answers import CALL
from tests.batches import StateStore
from tests.conftest import API_KEY
from tests.sensors.waiting import MODES, RUN, deferral_of, run_rescheduled
from tests.test_coverage import calls as ids_of_calls

pytestmark = pytest.mark.usefixtures("short_pauses")


def make_sensor(mode, conversation_ids, **arguments):
    options = {"task_id": "wait", "poke_interval": 0.05, "timeout": 20, **MODES[mode], **arguments}
    return CustomerMetricsCoverageSensor(conversation_ids=conversation_ids, **options)


@pytest.fixture(params=MODES)
def wait(request):
    """Wait in each of the modes: ``wait(calls, labels=[...])`` gives what the sensor puts into XCom."""

    def run(conversation_ids, **arguments):
        return RUN[request.param](lambda: make_sensor(request.param, conversation_ids, **arguments))

    run.mode = request.param
    return run


@pytest.fixture
def calls(emulator):
    return [emulator.add_conversation() for _ in range(30)]


def nothing_yet(emulator, call, times):
    emulator.fault(status=200, body={"data": []}, path=call, count=times)


def times_asked(emulator):
    paths = [entry["path"].split("/")[3] for entry in emulator.journal()]
    return {call: paths.count(call) for call in paths}


def test_a_wait_is_over_at_once_when_all_calls_have_all_labels(wait, emulator, calls):
    for call in calls:
        emulator.add_metric(call, "a", score=1)
        emulator.add_metric(call, "b", score=1)
    found = wait(calls, labels=["a", "b"])
    assert found.pop("seconds") < 10
    assert found == {"calls": 30, "covered": 30, "missing": []}
    assert times_asked(emulator) == dict.fromkeys(calls, 1)


def test_only_the_calls_still_missing_are_asked_again(wait, emulator, calls):
    for call in calls:
        emulator.add_metric(call, "a", score=1)
    for call in calls[-2:]:
        nothing_yet(emulator, call, times=3)
    assert wait(calls, labels=["a"])["covered"] == 30
    asked = times_asked(emulator)
    assert [asked[call] for call in calls[-2:]] == [4, 4]
    # Each round of a rescheduled wait is a process that knows nothing of the one before.
    assert {asked[call] for call in calls[:-2]} == {4 if wait.mode == "reschedule" else 1}


def test_a_rescheduled_wait_remembers_what_it_found_where_airflow_has_a_memory(emulator, calls):
    for call in calls:
        emulator.add_metric(call, "a", score=1)
    nothing_yet(emulator, calls[0], times=2)
    store = StateStore()
    found = run_rescheduled(lambda: make_sensor("reschedule", calls), task_state_store=store)
    assert (found["calls"], found["covered"]) == (30, 30)
    assert times_asked(emulator) == {**dict.fromkeys(calls, 1), calls[0]: 3}
    assert store == {}


def test_a_call_that_zelto_does_not_know_yet_keeps_it_waiting(wait, emulator, calls, impatient):
    emulator.fault(status=404, path=calls[3], count=2)
    for call in calls:
        emulator.add_metric(call, "a", score=1)
    assert wait(calls, max_consecutive_failures=1)["covered"] == 30
    assert len(emulator.journal(path=calls[3])) == 3


def test_a_share_of_the_calls_can_be_enough(wait, emulator, calls):
    for call in calls[:27]:
        emulator.add_metric(call, "a", score=1)
    found = wait(calls, min_coverage=0.9)
    assert (found["calls"], found["covered"]) == (30, 27)
    assert found["missing"] == calls[27:]


def test_stale_metrics_do_not_end_a_wait(wait, emulator, calls):
    for call in calls:
        emulator.add_metric(call, "a", score=1)
    newest = max(datetime.fromisoformat(emulator.metrics(call)[0]["updatedAt"]) for call in calls)
    emulator.add_metric(calls[0], "a", score=2, after=0.2)
    found = wait(calls, labels=["a"], updated_after=newest + timedelta(microseconds=1), min_coverage=0.03)
    assert found["covered"] == 1


@pytest.mark.parametrize("number", [3, 1200])
def test_ids_come_from_a_file_too(wait, emulator, tmp_path, number):
    emulator.settings(any_conversation=True)
    ids = ids_of_calls(number)
    for call in ids:
        emulator.add_conversation(call)
        emulator.add_metric(call, "a", score=1, after=0.4 if call == ids[-1] else 0)
    file = tmp_path / "calls.txt"
    file.write_text("\n".join(ids))
    assert wait(f"file://{file}", poke_interval=0.2)["covered"] == number


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_no_more_calls_are_asked_for_at_once_than_wanted(emulator, calls, mode, mocker):
    from airflow_provider_zelto.api_client import AsyncAPIClient

    under_way, most = 0, 0
    attempt = AsyncAPIClient.attempt

    async def counted(self, request):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await attempt(self, request)
        finally:
            under_way -= 1

    mocker.patch.object(AsyncAPIClient, "attempt", counted)
    emulator.settings(latency=0.02)
    emulator.add_metric(calls[0], "a", score=1, after=0.5)
    RUN[mode](lambda: make_sensor(mode, calls, min_coverage=0.01, concurrency=3))
    assert most == 3


def test_passing_failures_keep_it_waiting(wait, emulator, calls, impatient):
    for call in calls:
        emulator.add_metric(call, "a", score=1)
    emulator.fault(status=503, count=40)
    emulator.fault(status=429, retry_after=0, count=5)
    emulator.fault(action="reset", count=5)
    assert wait(calls, max_consecutive_failures=20)["covered"] == 30


def test_too_many_rounds_without_an_answer_end_it_with_the_last_cause(wait, emulator, calls, impatient):
    emulator.fault(status=503)
    with pytest.raises(InternalServerError) as caught:
        wait(calls, max_consecutive_failures=3, concurrency=2)
    assert not isinstance(caught.value, AirflowFailException)
    rounds = 4 if wait.mode == "deferrable" else 3  # which asks once before the trigger begins to count
    assert len(emulator.journal()) <= rounds * (3 + 2)


def test_one_call_that_cannot_be_asked_for_does_not_end_it_while_others_answer(
    wait, emulator, calls, impatient
):
    emulator.fault(status=500, path=calls[0])
    for call in calls[1:]:
        emulator.add_metric(call, "a", score=1)
    emulator.add_metric(calls[0], "a", score=1)
    found = wait(calls, min_coverage=0.95, max_consecutive_failures=1)
    assert found["missing"] == calls[:1]


@pytest.mark.parametrize(
    ("status", "error_class"),
    [(400, BadRequestError), (401, AuthenticationError), (403, PermissionDeniedError)],
)
def test_a_refusal_ends_it_at_once_and_for_good(wait, emulator, calls, impatient, status, error_class):
    emulator.fault(status=status)
    with pytest.raises(error_class) as caught:
        wait(calls, concurrency=4)
    assert isinstance(caught.value, AirflowFailException)
    # Requests that an earlier test has cancelled may still arrive.
    asked = times_asked(emulator)
    assert sum(asked.get(call, 0) for call in calls) <= 4


class TestTimeout:
    def test_names_how_many_calls_are_missing_and_which(self, wait, emulator, calls):
        for call in calls[5:]:
            emulator.add_metric(call, "a", score=1)
        with pytest.raises(AirflowSensorTimeout) as caught:
            wait(calls, timeout=0.3)
        message = str(caught.value)
        assert f"25 of 30 calls have what is waited for; missing: {', '.join(calls[:5])}." in message

    def test_names_no_more_than_some(self, wait, calls):
        with pytest.raises(AirflowSensorTimeout) as caught:
            wait(calls, timeout=0.2)
        assert str(caught.value).endswith(f"{calls[19]} and 10 more.")

    @pytest.mark.parametrize("softly", ["soft_fail", "never_fail"])
    def test_skips_softly_and_says_so_too(self, wait, calls, softly):
        with pytest.raises(AirflowSkipException) as caught:
            wait(calls[:2], timeout=0.2, **{softly: True})
        assert f"0 of 2 calls have what is waited for; missing: {', '.join(calls[:2])}." in str(caught.value)

    def test_comes_while_the_service_fails_too(self, wait, emulator, calls, impatient):
        emulator.fault(status=503)
        with pytest.raises(AirflowSensorTimeout) as caught:
            wait(calls, timeout=0.3, max_consecutive_failures=1000)
        known = wait.mode != "deferrable"  # the trigger's knowledge is gone, and asking again was no use
        assert ("0 of 30 calls" in str(caught.value)) == known
        assert ("Which calls are missing is not known: Zelto answered 503" in str(caught.value)) != known

    def test_of_a_deferred_wait_is_none_when_asking_once_more_finds_enough(self, emulator, calls):
        for call in calls:
            emulator.add_metric(call, "a", score=1)
        sensor = make_sensor("deferrable", calls, timeout=60)
        found = sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, {})
        assert found["covered"] == 30
        assert found["seconds"] >= 60

    def test_is_not_what_a_broken_trigger_is(self, emulator, calls):
        sensor = make_sensor("deferrable", calls)
        with pytest.raises(AirflowException) as caught:
            sensor.resume_execution("__fail__", {"error": "Trigger failure"}, {})
        assert not isinstance(caught.value, AirflowFailException | AirflowSensorTimeout)
        assert emulator.journal() == []


@pytest.mark.parametrize("status", [400, 401, 503])
def test_failures_skip_softly(wait, emulator, calls, impatient, status):
    emulator.fault(status=status)
    with pytest.raises(AirflowSkipException):
        wait(calls, soft_fail=True, never_fail=False, max_consecutive_failures=2, timeout=0.5)


def test_a_connection_that_cannot_be_used_fails_it(wait, connect):
    connect("http://api.zelto.ai")
    with pytest.raises(InvalidConnectionError):
        wait([CALL])


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"conversation_ids": "{{ params.calls }}"}, "conversation_ids"),
        ({"conversation_ids": ["{{ 'x' }}"]}, "conversation_ids"),
        ({"labels": "{{ params.labels }}"}, "labels"),
        ({"min_coverage": "{{ params.share }}"}, "min_coverage"),
        ({"updated_after": "{{ 'soon' }}"}, "updated_after"),
    ],
)
def test_arguments_that_were_rendered_badly_fail_it_before_anything_is_asked(
    wait, emulator, arguments, field
):
    def make_rendered():
        sensor = make_sensor(wait.mode, **{"conversation_ids": [CALL], **arguments})
        sensor.render_template_fields({"params": {"calls": [CALL], "labels": ["a"], "share": 95}})
        return sensor

    with pytest.raises(InvalidMetricError) as caught:
        RUN[wait.mode](make_rendered)
    assert [error.field for error in caught.value.errors] == [field]
    assert emulator.journal() == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"conversation_ids": []}, ["conversation_ids"]),
        ({"conversation_ids": [CALL, "x"]}, ["conversation_ids"]),
        ({"conversation_ids": CALL}, ["conversation_ids"]),
        ({"labels": "a", "min_coverage": 0}, ["labels", "min_coverage"]),
        ({"min_coverage": 95}, ["min_coverage"]),
        ({"updated_after": "soon", "concurrency": 0}, ["concurrency", "updated_after"]),
        ({"conversation_ids": "{{ ds }}", "labels": []}, ["labels"]),
    ],
)
def test_a_literal_that_breaks_a_limit_is_refused_when_the_dag_is_parsed(mode, arguments, fields):
    with pytest.raises(InvalidMetricError) as caught:
        make_sensor(mode, **{"conversation_ids": [CALL], **arguments})
    assert sorted(error.field for error in caught.value.errors) == fields


@pytest.mark.parametrize("field", ["conversation_ids", "labels", "min_coverage", "updated_after"])
def test_an_xcom_may_stand_in_any_templated_argument(xcom, field):
    sensor = make_sensor("deferrable", **{"conversation_ids": [CALL], field: xcom})
    assert sensor.upstream_task_ids == {"anything"}


def test_a_list_too_long_for_a_trigger_is_refused_with_the_way_out(emulator):
    ids = ids_of_calls(CALLS_IN_TRIGGER + 1)
    assert make_sensor("poke", ids)
    assert make_sensor("deferrable", ids[1:])
    with pytest.raises(InvalidMetricError, match="give the URI of a text file with one a line") as caught:
        make_sensor("deferrable", ids)
    assert f"(it has {CALLS_IN_TRIGGER + 1})" in str(caught.value)
    assert len(str(caught.value)) < 500
    sensor = make_sensor("deferrable", "{{ an XCom }}")
    sensor.conversation_ids = ids
    with pytest.raises(InvalidMetricError, match="conversation_ids: "):
        sensor.execute({})
    assert emulator.journal() == []


def test_a_deferral_hands_on_the_calls_that_are_missing_and_how_far_it_is(emulator, connect, calls):
    connect(emulator.url, conn_id="zelto_other")
    for call in calls[:20]:
        emulator.add_metric(call, "a", score=1)
        emulator.add_metric(call, "b", score=1)
    started = time.time()
    deferral = deferral_of(
        make_sensor(
            "deferrable",
            [call.upper() for call in calls],
            labels=["b", "a"],
            min_coverage=0.9,
            updated_after="2026-01-02",
            concurrency=5,
            zelto_conn_id="zelto_other",
            poke_interval=7,
            timeout=timedelta(minutes=1),
            max_consecutive_failures=3,
        )
    )
    assert deferral.timeout == timedelta(minutes=1)
    assert deferral.method_name == "execute_complete"
    path, kwargs = deferral.trigger.serialize()
    assert path == "airflow_provider_zelto.triggers.zelto.CustomerMetricsCoverageTrigger"
    assert started - 1 < kwargs.pop("waiting_since") < time.time()
    assert kwargs == {
        "conversation_ids": calls[20:],
        "labels": ["a", "b"],
        "min_coverage": 0.9,
        "updated_after": "2026-01-02T00:00:00+00:00",
        "concurrency": 5,
        "covered": 20,
        "zelto_conn_id": "zelto_other",
        "poke_interval": 7,
        "max_consecutive_failures": 3,
    }


@pytest.mark.parametrize("found", [0, 500])
def test_what_airflow_stores_of_a_wait_stays_small(emulator, tmp_path, found):
    emulator.settings(any_conversation=True)
    ids = ids_of_calls(CALLS_IN_TRIGGER + 200)
    for call in ids[:found]:
        emulator.add_conversation(call)
        emulator.add_metric(call, "a", score=1)
    file = tmp_path / "calls.txt"
    file.write_text("\n".join(ids))
    _, kwargs = deferral_of(make_sensor("deferrable", f"file://{file}")).trigger.serialize()
    assert kwargs["covered"] == found
    assert kwargs["conversation_ids"] == (ids[found:] if found else f"file://{file}")
    assert len(json.dumps(kwargs)) < 50_000


def test_a_wait_says_in_the_log_how_far_it_is(wait, emulator, calls, logged):
    for call in calls:
        emulator.add_metric(call, "a", score=1)
    nothing_yet(emulator, calls[-1], times=1)
    wait(calls)
    lines = [line for line in logged() if "calls have what was" in line.text or "So far" in line.text]
    assert lines[0] == ("INFO", f"So far 29 of 30 calls have what is waited for; missing: {calls[-1]}.")
    assert lines[-1] == ("INFO", "30 of 30 calls have what was waited for.")


def test_a_long_round_says_in_the_log_how_far_it_is(emulator, calls, logged, monkeypatch):
    monkeypatch.setattr(sensors, "SECONDS_BETWEEN_REPORTS", 0.1)
    emulator.settings(latency=0.05)
    for call in calls:
        emulator.add_metric(call, "a", score=1)
    make_sensor("poke", calls, concurrency=2).execute({})
    told = [line.text for line in logged() if line.text.startswith("So far ")]
    assert len(told) > 2
    assert told == sorted(told, key=lambda text: int(text.split()[2]))


def test_a_wait_ended_by_a_signal_asks_for_nothing_more(emulator, calls, mocker):
    from airflow_provider_zelto.event_loops import LoopThread

    emulator.settings(latency=0.1)
    mocker.patch.object(LoopThread, "wait", autospec=True, side_effect=KeyboardInterrupt)
    sensor = make_sensor("poke", calls, concurrency=2)
    with pytest.raises(KeyboardInterrupt):
        sensor.execute({})
    time.sleep(0.5)
    assert len(emulator.journal()) <= 2


@pytest.mark.parametrize("status", [401, 503])
def test_a_wait_that_fails_does_not_show_the_key(wait, emulator, calls, impatient, logged, status):
    emulator.fault(status=status, body={"error": f"bad key {API_KEY}"})
    with pytest.raises(APIStatusError) as caught:
        wait(calls, max_consecutive_failures=2)
    told = [line.text for line in logged()] + ["".join(traceback.format_exception(caught.value))]
    assert [text for text in told if API_KEY in text] == []


def test_what_airflow_stores_of_a_wait_does_not_hold_the_key(emulator, calls):
    sensor = make_sensor("deferrable", calls)
    deferral = deferral_of(sensor)
    stored = [repr(deferral.trigger.serialize()), repr(vars(deferral)), repr(vars(sensor))]
    assert [text for text in stored if API_KEY in text] == []
