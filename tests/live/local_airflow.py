"""A whole Airflow on this machine: its processes, up and healthy for the length of a block."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.live.airflow_api import AirflowApi
from tests.live.airflow_home import IS_AIRFLOW_3, AirflowHome
from tests.live.processes import Child, LiveError, ended_afterwards, spawn, wait_until

_SERVER = "api-server" if IS_AIRFLOW_3 else "webserver"
_WORKING = ("scheduler", "triggerer", *(["dag-processor"] if IS_AIRFLOW_3 else []))
# On one machine all logs are files at hand; the servers for them would take two fixed ports.
_OPTIONS = {"scheduler": ["--skip-serve-logs"], "triggerer": ["--skip-serve-logs"]}


class LocalAirflow:
    """
    An Airflow in a home of its own; ``local_airflow`` gives one that is up.

    :param home: its home.
    :param children: list that takes every process it starts.
    :ivar api: a client for its API.
    :ivar processes: its processes by name (``scheduler``, ``triggerer``, …).
    """

    def __init__(self, home: AirflowHome, children: list[Child]) -> None:
        self.home = home
        self.api = AirflowApi(home.url)
        self.processes: dict[str, Child] = {}
        self._children = children
        # -P keeps the sources out of its path: what is installed is what runs.
        command = [sys.executable, "-P", str(Path(__file__).with_name("forker.py"))]
        log = home.logs / "forker.log"
        self._forker = spawn("Airflow forker", command, home.environment(), log, piped=True)
        children.append(self._forker)

    def start(self, name: str, *command: str) -> Child:
        """
        Start a process of Airflow, also again after it was killed.

        :param name: what it is called.
        :param command: the ``airflow`` command that it runs, where that is not its name.
        """
        argv = command or (name, *_OPTIONS.get(name, []))
        pid = self._fork(argv, self._log(name), wait=False)
        child = Child(name, psutil.Process(pid), self._log(name))
        self._children.append(child)
        self.processes[name] = child
        return child

    def run(self, *argv: str) -> None:
        """Run an ``airflow`` command to its end; LiveError when it fails."""
        if status := self._fork(argv, self._log(argv[0]), wait=True):
            raise LiveError(f"airflow {' '.join(argv)} failed with {status}. Its log: {self._log(argv[0])}")

    def check(self) -> None:
        """Raise LiveError when one of the processes is no more."""
        for child in self.processes.values():
            child.check()

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until Airflow has parsed the DAG; LiveError when its file cannot be imported."""
        wait_until(
            lambda: self.api.knows(dag_id),
            what=f"The parsing of {dag_id}",
            timeout=120,
            children=list(self.processes.values()),
        )

    def _fork(self, argv: Sequence[str], log: Path, *, wait: bool) -> int:
        forker = self._forker.process
        assert isinstance(forker, psutil.Popen)
        request = {"argv": [*argv], "log": str(log), "wait": wait}
        with suppress(BrokenPipeError):
            print(json.dumps(request), file=forker.stdin, flush=True)
        if not (answer := forker.stdout.readline()):
            forker.wait()
            self._forker.check()
        return int(answer)

    def _log(self, name: str) -> Path:
        return self.home.logs / f"{name}.log"


@contextmanager
def local_airflow(home: AirflowHome, *, timeout: float = 180) -> Iterator[LocalAirflow]:
    """
    Run Airflow with a new database in a fresh home until the block ends, however it ends.

    :param home: home to make; its folder must not exist yet.
    :param timeout: seconds it may take until all is healthy.
    """
    home.prepare()
    with ended_afterwards() as children:
        airflow = LocalAirflow(home, children)
        # The server reads no table before it is asked something, so the two slowest steps go side by side.
        airflow.start(_SERVER)
        airflow.run("db", "migrate")
        for name in _WORKING:
            airflow.start(name)

        def wait_for(what: str, there: Callable[[], bool]) -> None:
            wait_until(there, what=what, timeout=timeout, children=children)

        wait_for(f"The start of the {_SERVER}", lambda: airflow.api.unhealthy() != ["api-server"])
        airflow.api.warm_up()
        airflow.api.log_in()
        wait_for("Airflow's health", lambda: not airflow.api.unhealthy())
        yield airflow
