"""Sensors whose tasks start or end in the triggerer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.models.trigger import Trigger
from airflow.providers.common.compat.sdk import DAG, BaseOperator, TaskDeferred, task

from airflow_provider_zelto.exceptions import InvalidMetricError
from airflow_provider_zelto.sensors import refusals
from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor
from tests.answers import CALL
from tests.conftest import AIRFLOW_VERSION, API_KEY
from tests.operators.test_serialization import stored_and_loaded
from tests.sensors.waiting import STARTS_IN_TRIGGERER, as_json, fired, first_event
from tests.sources import LOCAL_SOURCES

pytest_plugins = ["tests.source_fixtures"]

TEMPLATE = "{{ params.any }}"
PULL = "{{ ti.xcom_pull(task_ids='submit') }}"
STARTS = pytest.mark.skipif(not STARTS_IN_TRIGGERER, reason="this Airflow starts every task in a worker")
RENDERS = pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="this Airflow renders in a worker only")


@pytest.fixture
def on_airflow(monkeypatch):
    """Let the sensors believe in another version of Airflow."""

    def set_version(version):
        monkeypatch.setattr(refusals, "airflow_version", version)

    return set_version


@pytest.fixture
def on_newest(on_airflow):
    on_airflow("3.3.2")


def make_sensor(conversation_id=CALL, **arguments):
    return CustomerMetricsSensor(**{"task_id": "wait", "conversation_id": conversation_id, **arguments})


def from_the_start(*args, **arguments):
    return make_sensor(*args, **{"start_from_trigger": True, **arguments})


def to_the_end(*args, **arguments):
    return make_sensor(*args, **{"end_from_trigger": True, **arguments})


def refused(make, **arguments):
    """Give what is wrong, as ``{field: what it is not}``."""
    with pytest.raises(InvalidMetricError) as caught:
        make(**arguments)
    return {error.field: error.limit for error in caught.value.errors}


def test_a_sensor_starts_and_ends_in_a_worker_unless_it_is_told_not_to():
    sensor = make_sensor(deferrable=True)
    assert (sensor.start_from_trigger, sensor.start_trigger_args) == (False, None)
    assert "end_from_trigger" not in sensor.make_trigger().serialize()[1]


def test_the_scheduler_is_told_all_that_the_trigger_needs(on_newest):
    sensor = from_the_start(CALL.upper(), labels={"b", "a"}, poke_interval=7, timeout=99)
    start = sensor.start_trigger_args
    assert sensor.start_from_trigger is True
    assert sensor.deferrable
    assert (start.next_method, start.timeout) == ("execute_complete", timedelta(seconds=99))
    assert (start.trigger_cls, start.trigger_kwargs) == sensor.make_trigger().serialize()
    assert start.trigger_kwargs["labels"] == ["a", "b"]
    assert start.trigger_kwargs["conversation_id"] == CALL
    assert "end_from_trigger" not in start.trigger_kwargs


def test_sensors_share_nothing_with_each_other_or_with_airflow(on_newest):
    first, second = from_the_start(labels=["a"]), from_the_start(labels=["b"])
    assert first.start_trigger_args.trigger_kwargs["labels"] == ["a"]
    assert second.start_trigger_args.trigger_kwargs["labels"] == ["b"]
    for base in (CustomerMetricsSensor, BaseOperator):
        assert (base.start_trigger_args, base.start_from_trigger) == (None, False)


@pytest.mark.parametrize("source", LOCAL_SOURCES.values(), ids=LOCAL_SOURCES)
def test_every_sensor_of_one_call_can_do_without_workers(on_newest, source):
    named = {source.id_field: source.example_id, source.names_field: list(source.metrics[:1])}
    sensor = source.sensor(task_id="wait", **named, start_from_trigger=True, end_from_trigger=True)
    kwargs = sensor.start_trigger_args.trigger_kwargs
    assert source.trigger(**kwargs).serialize() == (sensor.start_trigger_args.trigger_cls, kwargs)
    assert kwargs["end_from_trigger"]


@pytest.mark.parametrize("do_xcom_push", [True, False])
def test_the_trigger_knows_whether_the_task_leaves_an_xcom(do_xcom_push):
    sensor = to_the_end(do_xcom_push=do_xcom_push)
    assert sensor.deferrable
    assert sensor.make_trigger().serialize()[1]["do_xcom_push"] == do_xcom_push


@STARTS
@pytest.mark.parametrize("templated", [False, pytest.param(True, marks=RENDERS)])
def test_a_stored_dag_starts_the_same_trigger(connect, templated):
    connect("http://127.0.0.1:1")
    call, labels = (TEMPLATE, ["a", TEMPLATE]) if templated else (CALL, ["ä", "b"])
    with DAG("any", schedule=None) as dag:
        sensor = from_the_start(
            call, labels=labels, updated_after=datetime(2026, 1, 2, tzinfo=UTC), end_from_trigger=True
        )
    kwargs = sensor.start_trigger_args.trigger_kwargs
    assert as_json(kwargs) == kwargs
    loaded = stored_and_loaded(dag).get_task("wait")
    assert loaded.start_from_trigger is True
    start = loaded.start_trigger_args
    assert (start.next_method, start.timeout) == ("execute_complete", timedelta(days=7))
    row = Trigger(classpath=start.trigger_cls, kwargs=start.trigger_kwargs)
    trigger = CustomerMetricsSensor.make_trigger(sensor)
    assert type(trigger)(**row.kwargs).serialize() == (row.classpath, kwargs)
    assert API_KEY not in str(row.kwargs)


@RENDERS
async def test_airflow_renders_the_templates_of_a_trigger(emulator, call):
    emulator.add_metric(call, "Tone", score=1)
    (stored,) = emulator.metrics(call)
    with DAG("any", schedule=None) as dag:
        sensor = from_the_start(
            "{{ params.call }}",
            labels=["{{ params.label }}"],
            updated_after="{{ ti.xcom_pull(task_ids='submit', map_indexes=-1)['updatedAt'] }}",
            zelto_conn_id="zelto_{{ params.conn }}",
        )
    trigger = type(sensor.make_trigger())(**sensor.start_trigger_args.trigger_kwargs)
    ti = SimpleNamespace(task=stored_and_loaded(dag).get_task("wait"), task_id="wait")
    ti.xcom_pull = lambda **where: {"updatedAt": stored["updatedAt"]}
    trigger.task_instance = ti
    params = {"call": call, "label": "Tone", "conn": "default"}
    trigger.render_template_fields({"params": params, "ti": ti})
    assert await first_event(trigger) == {"result": [stored]}


@pytest.mark.parametrize("version", ["3.1.8", "3.2.0"])
def test_a_start_is_refused_where_airflow_starts_every_task_in_a_worker(on_airflow, version):
    on_airflow(version)
    limits = refused(from_the_start)
    assert limits.keys() == {"start_from_trigger"}
    assert f"Airflow {version}" in limits["start_from_trigger"]
    assert to_the_end()


@pytest.mark.parametrize("version", ["2.11.0", "3.0.6"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("conversation_id", TEMPLATE),
        ("labels", TEMPLATE),
        ("labels", ["a", TEMPLATE]),
        ("updated_after", PULL),
        ("zelto_conn_id", TEMPLATE),
    ],
)
def test_a_template_is_refused_where_airflow_renders_it_in_a_worker_only(on_airflow, version, field, value):
    on_airflow(version)
    limits = refused(from_the_start, **{field: value})
    assert limits.keys() == {field}
    assert f"Airflow {version}" in limits[field]
    assert from_the_start()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("labels", TEMPLATE, "a list"),
        ("labels", ["a", PULL], "map_indexes"),
        ("updated_after", PULL, "map_indexes"),
        ("updated_after", "{{ prev_start_date_success }}", "prev_start_date_success"),
        ("conversation_id", "{{ task_state_store.get('call') }}", "task_state_store"),
    ],
)
def test_a_template_is_refused_that_a_triggerer_cannot_render(on_newest, field, value, words):
    limits = refused(from_the_start, **{field: value})
    assert limits.keys() == {field}
    assert words in limits[field]


@pytest.mark.parametrize(
    "arguments",
    [
        {"conversation_id": TEMPLATE},
        {"labels": ["a", TEMPLATE]},
        {"updated_after": "{{ ti.xcom_pull('submit', map_indexes=-1) }}"},
        {"zelto_conn_id": TEMPLATE},
    ],
)
def test_a_template_is_left_to_a_triggerer_that_can_render_it(on_newest, arguments):
    (name,) = arguments
    assert from_the_start(**arguments).start_trigger_args.trigger_kwargs[name] == arguments[name]


def test_an_xcom_is_refused_that_only_a_worker_can_pull(xcom, on_newest):
    assert "a template" in refused(from_the_start, conversation_id=xcom)["conversation_id"]
    limits = refused(from_the_start, task_id="other", labels=["a", xcom])
    assert "a template" in limits["labels"]


@pytest.mark.parametrize("name", ["start_from_trigger", "end_from_trigger"])
def test_a_sensor_that_must_not_defer_does_neither(on_newest, name):
    assert refused(make_sensor, **{name: True, "deferrable": False}).keys() == {name}


def noted(context):
    raise AssertionError("only looked at")


@pytest.mark.parametrize("name", ["outlets", "post_execute", "on_success_callback"])
def test_an_end_is_refused_to_a_task_that_wants_what_only_a_worker_does(on_newest, name):
    value = ["x://y"] if name == "outlets" else noted
    assert name in refused(to_the_end, **{name: value})["end_from_trigger"]
    assert make_sensor(**{name: value})


@pytest.mark.parametrize("name", ["pre_execute", "on_execute_callback"])
def test_what_a_worker_does_first_is_refused_to_a_task_that_meets_none(on_newest, name):
    assert name in refused(from_the_start, end_from_trigger=True, **{name: noted})["end_from_trigger"]
    assert to_the_end(**{name: noted})
    assert from_the_start(**{name: noted})


def test_airflow_2_sees_to_success_callbacks_by_itself(on_airflow):
    on_airflow("2.11.2")
    assert to_the_end(on_success_callback=noted)


def test_default_args_are_refused_like_arguments(on_newest):
    with DAG("any", schedule=None, default_args={"on_success_callback": noted, "end_from_trigger": True}):
        assert "on_success_callback" in refused(make_sensor)["end_from_trigger"]


def test_a_mapped_task_is_not_started_in_the_triggerer(on_newest):
    with DAG("any", schedule=None):
        partial = CustomerMetricsSensor.partial
        assert "mapped" in refused(partial, task_id="a", start_from_trigger=True)["start_from_trigger"]
        assert (
            "outlets"
            in refused(partial, task_id="a", end_from_trigger=True, outlets=["x"])["end_from_trigger"]
        )
        mapped = partial(task_id="b", end_from_trigger=True).expand(conversation_id=[CALL])
        assert mapped.partial_kwargs["end_from_trigger"]


def test_an_end_is_refused_to_a_task_that_others_are_mapped_over():
    def make_dag(**arguments):
        with DAG("any", schedule=None) as dag:

            @task
            def look(metric: dict[str, object]) -> None: ...

            look.expand(metric=make_sensor(**arguments).output)
        dag.resolve_template_files()

    assert "mapped" in refused(make_dag, end_from_trigger=True)["end_from_trigger"]
    make_dag(deferrable=True)


async def test_a_task_that_began_in_a_worker_ends_in_the_triggerer(emulator, call):
    sensor = to_the_end(call, labels=["a"], poke_interval=0.05)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    emulator.add_metric(call, "a", score=1)
    event = await fired(deferred.value.trigger)
    assert type(event).__name__ == "TaskSuccessEvent"
    assert event.payload == {"result": emulator.metrics(call)}
