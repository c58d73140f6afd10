"""Many waits in a whole Airflow: worker processes started and time taken, beside HttpSensor's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock
from uuid import UUID

from packaging.version import Version

from tests.bench.connections import connections
from tests.bench.processes import cpu_seconds
from tests.bench.report import Measured, print_comparison
from tests.live.airflow_home import AIRFLOW_VERSION, AirflowHome
from tests.live.local_airflow import LocalAirflow, local_airflow
from tests.live.local_emulator import LocalEmulator, local_emulator
from tests.live.processes import LiveError, die_politely, free_port

_DAGS = Path(__file__).with_name("dags")
_TIMEOUT = 1800.0  # seconds for each step of a run
SIDES = {
    "deferrable": "starts_deferrable",
    "start and end in the triggerer": "starts_no_worker",
    "HttpSensor, deferrable": "starts_http_sensor",
}


@dataclass(frozen=True)
class Load:
    """
    How much waiting there is.

    :ivar number: tasks of a run, each of which waits for a call of its own.
    :ivar poke_interval: seconds between two questions of a wait.
    """

    number: int = 200
    poke_interval: float = 5.0


@dataclass(frozen=True)
class Waited:
    """
    What one run took.

    :ivar workers: processes that were started in workers.
    :ivar until_waiting: seconds until all tasks were waiting in the triggerer.
    :ivar until_ended: seconds from the arrival of all metrics to the end of the last task.
    :ivar cpu: CPU seconds of Airflow's processes, all of them.
    :ivar failed: tasks that Airflow failed by itself, as it does when one wakes up too soon.
    """

    workers: int
    until_waiting: float
    until_ended: float
    cpu: float
    failed: int

    @property
    def in_all(self) -> float:
        """Seconds."""
        return self.until_waiting + self.until_ended


def run(load: Load) -> None:
    """Measure one side after the other in the same Airflow, and print."""
    if Version(AIRFLOW_VERSION) < Version("3.3"):
        raise SystemExit("Waits without workers are measured on Airflow 3.3 or newer.")
    die_politely()
    settings = {"BENCH_WAITS": str(load.number), "BENCH_POKE_INTERVAL": str(load.poke_interval)}
    with (
        TemporaryDirectory(prefix="zelto-bench-") as name,
        mock.patch.dict("os.environ", settings),
        local_emulator(Path(name)) as zelto,
    ):
        given = connections(zelto.url, zelto.connections["zelto_default"]["password"])
        home = AirflowHome(Path(name, "airflow"), free_port(), _DAGS, given)
        for number in range(1, load.number + 1):
            call = str(UUID(int=number))
            zelto.ask("POST", "conversations", {"id": call})
            zelto.ask("POST", f"conversations/{call}/customer-metrics", {"label": "Tone", "score": 1})
        with local_airflow(home) as airflow:
            waited = [_wait(airflow, zelto, dag_id, load.number) for dag_id in SIDES.values()]
    title = f"Starts: one run of {load.number} waits, asking every {load.poke_interval:g} s"
    print_comparison(title, list(SIDES), _figures(waited))


def _wait(airflow: LocalAirflow, zelto: LocalEmulator, dag_id: str, number: int) -> Waited:
    airflow.wait_for_dag(dag_id)
    zelto.ask("POST", "faults", {"method": "GET", "status": 404})
    cpu, begun = _cpu(airflow), time.monotonic()
    run_id = airflow.api.trigger(dag_id, {})
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=1&state="

    def count(state: str) -> int:
        return int(airflow.api.ask("GET", path + state)["total_entries"])

    _until(lambda: count("deferred") + count("failed") == number)
    waiting = time.monotonic()
    zelto.ask("DELETE", "faults")
    _until(lambda: airflow.api.run_state(dag_id, run_id) in ("success", "failed"))
    ended = time.monotonic()
    # A process that a worker starts reports to Airflow before it does anything else, which Airflow notes.
    noted = airflow.api.ask("GET", f"/eventLogs?dag_id={dag_id}&event=running&limit=1")
    workers: int = noted["total_entries"]
    return Waited(workers, waiting - begun, ended - waiting, _cpu(airflow) - cpu, count("failed"))


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while not is_so():
        if time.monotonic() > deadline:
            raise LiveError(f"A run has not come on for {_TIMEOUT:.0f} s.")
        time.sleep(1)  # whoever looks more often keeps Airflow from its work


def _cpu(airflow: LocalAirflow) -> float:
    return sum(map(cpu_seconds, airflow.processes.values()))


def _figures(waited: list[Waited]) -> list[Measured]:
    return [
        Measured("worker processes started", [one.workers for one in waited], ".0f"),
        Measured("until all wait, s", [one.until_waiting for one in waited], ".0f"),
        Measured("from the metrics' arrival to the end, s", [one.until_ended for one in waited], ".0f"),
        Measured("in all, s", [one.in_all for one in waited], ".0f"),
        Measured("tasks that Airflow failed", [one.failed for one in waited], ".0f"),
        Measured("CPU of all of Airflow, s", [one.cpu for one in waited], ".0f"),
    ]
