from __future__ import annotations

import asyncio
import importlib
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AssetAlias

from airflow_provider_zelto.assets import call_asset
from tests.conftest import AIRFLOW_VERSION
from tests.sensors.waiting import as_json, stored_and_loaded

CALL = "6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21"


@pytest.fixture
def example(airflow_db):
    """The module of the example: Airflow 2 asks its database for aliases while it parses a DAG."""
    return importlib.import_module("example_dags.example_event_driven")


def tell_of(dag, task_id, *extras):
    """Call the function of a DAG's task as in a run that events with these extras started."""
    name = "triggering_asset_events" if AIRFLOW_VERSION >= (3, 0) else "triggering_dataset_events"
    of_call = [SimpleNamespace(extra=extra) for extra in extras]
    sources = [(call_asset(CALL), of_call), (AssetAlias("evaluated-calls"), of_call)]
    events = SimpleNamespace(items=lambda: sources, values=lambda: [of_call])
    return dag.get_task(task_id).python_callable(**{name: events})


def schedule_of(dag):
    """Give the assets and aliases that start a DAG."""
    name = "asset_condition" if AIRFLOW_VERSION >= (3, 0) else "dataset_condition"
    return [*getattr(dag.timetable, name).objects]


def test_the_submit_starts_the_report(example, emulator, run_dag):
    emulator.add_conversation(CALL)
    submitting, reporting = example.example_event_submit(), example.example_event_report()
    if AIRFLOW_VERSION < (3, 0):
        submitting.sync_to_db()  # events reach only the aliases of stored DAGs
    run = run_dag(submitting, conversation_id=CALL)
    assert run.state == "success"
    assert run.xcom("submit") == emulator.metrics(CALL)[0]
    stored = {name: run.xcom("submit")[name] for name in ("label", "verdict", "score", "updatedAt")}
    assert tell_of(reporting, "report", stored) == ["Compliance Check: fail, score 60"]
    [outlet] = submitting.get_task("submit").outlets
    assert (
        outlet.name in str(reporting.timetable.asset_condition if AIRFLOW_VERSION >= (3, 0) else "") or outlet
    )


def test_the_report_runs_when_somebody_starts_it_by_hand(example, run_dag):
    run = run_dag(example.example_event_report())
    assert run.state == "success"
    assert run.xcom("report") == []


@pytest.mark.skipif(AIRFLOW_VERSION < (3, 0), reason="asset watchers came with Airflow 3.0")
class TestWatching:
    @pytest.fixture
    def trigger(self, example):
        """Give the trigger as a triggerer makes it, from what Airflow stores, only more impatient."""
        [asset] = schedule_of(example.example_event_driven())
        [watcher] = asset.watchers
        trigger = stored_and_loaded(watcher.trigger)
        trigger.watch = trigger.watch.model_copy(update={"poke_interval": 0.05})
        return trigger

    async def test_a_review_in_zelto_fires_and_is_told(self, example, emulator, trigger):
        emulator.add_conversation(CALL)
        emulator.add_metric(CALL, "Human review", verdict="pass")
        events = trigger.run()
        waiting = asyncio.ensure_future(anext(events))
        while len(emulator.journal()) < 2:
            await asyncio.sleep(0.01)
        emulator.add_metric(CALL, "Compliance Check", verdict="pass")
        emulator.add_metric(CALL, "Human review", verdict="fail")
        event = await asyncio.wait_for(waiting, 20)
        await events.aclose()
        extra = {"from_trigger": True, "payload": as_json(event.payload)}
        assert tell_of(example.example_event_driven(), "tell", extra) == [f"{CALL}: fail"]

    def test_the_dag_runs_when_somebody_starts_it_by_hand(self, example, run_dag):
        run = run_dag(example.example_event_driven())
        assert run.state == "success"
        assert run.xcom("tell") == []
