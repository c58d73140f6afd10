"""Waits without workers in a real Airflow, whose scheduler and triggerer have nobody to help them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import AIRFLOW_VERSION
from tests.live.airflow_home import AirflowHome
from tests.live.local_airflow import LocalAirflow, local_airflow
from tests.live.local_emulator import local_emulator
from tests.live.processes import free_port, wait_until
from tests.sensors.waiting import STARTS_IN_TRIGGERER

DAG_ID = "no_worker_waits"
CALL = "0d9f7f5e-7a44-4e6c-9f5b-2c2a4c6e1b11"
ENDED = ["ended", "mapped"]
DEFERRED = ["deferred"] * len(ENDED)
FOUND = "has what was waited for"
DAGS = Path(__file__).with_name("dags")
STARTS = pytest.mark.skipif(not STARTS_IN_TRIGGERER, reason="this Airflow starts every task in a worker")
RENDERS = pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="this Airflow renders in a worker only")


class LiveRun:
    """A run that has ended, with what became of its tasks."""

    def __init__(self, airflow: LocalAirflow, run_id: str, stored: list[dict[str, Any]]) -> None:
        self._airflow = airflow
        self._run_id = run_id
        self.stored = stored
        path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances"
        self.tasks = {ti["task_id"]: ti for ti in airflow.api.ask("GET", path)["task_instances"]}

    def xcom(self, task_id: str) -> Any:
        return self._airflow.api.xcom(DAG_ID, self._run_id, task_id)

    def logs(self, task_id: str, *, by_triggerer: bool) -> dict[str, str]:
        """Give the logs that a triggerer wrote for a task, or those that workers did, by name."""
        folder = (
            self._airflow.home.logs / f"dag_id={DAG_ID}" / f"run_id={self._run_id}" / f"task_id={task_id}"
        )
        logs = {log.name: log.read_text() for log in folder.rglob("attempt=*.log*")}
        return {name: text for name, text in logs.items() if (".trigger." in name) == by_triggerer}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRun]:
    folder = tmp_path_factory.mktemp("no-worker")
    with local_emulator(folder) as zelto:
        zelto.ask("POST", "conversations", {"id": CALL})
        connections = {
            **zelto.connections,
            "zelto_refused": {**zelto.connections["zelto_default"], "password": "wrong-key"},
        }
        home = AirflowHome(folder / "airflow", free_port(), DAGS, connections)
        with local_airflow(home) as airflow:
            airflow.wait_for_dag(DAG_ID)
            zelto.ask("POST", "faults", {"method": "GET", "status": 404})
            run_id = airflow.api.trigger(DAG_ID, {})
            wait_until(
                # A worker would find what is there at once.
                lambda: [airflow.api.task_states(DAG_ID, run_id)[name] for name in ENDED] == DEFERRED,
                what="The deferral of what begins in a worker",
                timeout=60,
            )
            zelto.ask("DELETE", "faults")
            for _ in airflow.api.follow(DAG_ID, run_id, timeout=180):
                pass
            yield LiveRun(airflow, run_id, zelto.ask("GET", f"conversations/{CALL}")["metrics"])


WITHOUT_WORKER = [pytest.param("wait", marks=STARTS), pytest.param("templated", marks=RENDERS)]


@pytest.mark.parametrize("task_id", WITHOUT_WORKER)
def test_no_worker_process_is_started_for_a_wait_that_succeeds(run: LiveRun, task_id: str) -> None:
    instance = run.tasks[task_id]
    assert (instance["state"], instance["try_number"]) == ("success", 1)
    # A worker's process enters itself here before it does anything else, and begins a log.
    assert (instance["pid"], instance["hostname"]) == (None, "")
    assert run.logs(task_id, by_triggerer=False) == {}
    assert FOUND in str(run.logs(task_id, by_triggerer=True))
    assert (run.tasks["submit"]["pid"] or 0) > 0
    assert run.logs("submit", by_triggerer=False).keys() == {"attempt=1.log"}


@pytest.mark.parametrize("task_id", ENDED)
def test_no_worker_hears_of_the_end_of_a_wait_that_began_in_one(run: LiveRun, task_id: str) -> None:
    assert (run.tasks[task_id]["state"], run.tasks[task_id]["try_number"]) == ("success", 1)
    assert FOUND not in str(run.logs(task_id, by_triggerer=False))
    assert FOUND in str(run.logs(task_id, by_triggerer=True))


@pytest.mark.parametrize("task_id", ["ended", *WITHOUT_WORKER])
def test_the_xcom_is_the_one_that_a_worker_leaves(run: LiveRun, task_id: str) -> None:
    assert run.xcom(task_id) == run.stored


def test_a_task_in_a_worker_gets_the_xcom_as_data(run: LiveRun) -> None:
    assert run.xcom("report") == ["list", 7]


@STARTS
def test_a_refused_key_fails_the_task_without_a_retry(run: LiveRun) -> None:
    instance = run.tasks["refused"]
    assert (instance["state"], instance["try_number"], instance["max_tries"]) == ("failed", 1, 2)
    assert run.logs("refused", by_triggerer=False).keys() == {"attempt=1.log"}


@STARTS
def test_a_timeout_skips_a_soft_wait(run: LiveRun) -> None:
    assert run.tasks["soft"]["state"] == "skipped"
