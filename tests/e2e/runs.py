"""A run of a DAG as somebody sees it who has nothing but Airflow's REST API."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Self

from tests.live.airflow_api import AirflowApi
from tests.live.processes import LiveError

_FINAL = ("success", "failed")


class Run:
    """
    A run that is there.

    :param api: the API of the Airflow.
    :param dag_id: the DAG.
    :param run_id: the run.
    :ivar seen: the states that each task was seen in while ``end`` or ``wait_for`` waited.
    """

    def __init__(self, api: AirflowApi, dag_id: str, run_id: str) -> None:
        self._api = api
        self.dag_id = dag_id
        self.run_id = run_id
        self.path = f"/dags/{dag_id}/dagRuns/{self.run_id}"
        self.seen: dict[str, list[str]] = defaultdict(list)

    @classmethod
    def start(cls, api: AirflowApi, dag_id: str, conf: Mapping[str, Any]) -> Self:
        """Trigger a run."""
        return cls(api, dag_id, api.trigger(dag_id, conf))

    def state(self) -> str:
        """Give the state of the run."""
        return self._api.run_state(self.dag_id, self.run_id)

    def instances(self) -> list[dict[str, Any]]:
        """Give all its task instances, and note the states that they are in."""
        found: list[dict[str, Any]] = self._api.ask("GET", f"{self.path}/taskInstances?limit=200")[
            "task_instances"
        ]
        for instance in found:
            states = self.seen[instance["task_id"]]
            if instance["state"] and instance["state"] not in states[-1:]:
                states.append(instance["state"])
        return found

    def instance(self, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Give one task instance."""
        [found] = [
            instance
            for instance in self.instances()
            if (instance["task_id"], instance["map_index"]) == (task_id, map_index)
        ]
        return found

    def wait_for(self, state: str, *, count: int, timeout: float) -> None:
        """Wait until so many of its task instances are in a state."""
        deadline = time.monotonic() + timeout
        while (there := sum(found["state"] == state for found in self.instances())) < count:
            if time.monotonic() > deadline or self.state() in _FINAL:
                raise LiveError(f"{there} of {count} tasks of {self.dag_id} are {state}: {dict(self.seen)}")
            time.sleep(0.2)

    def end(self, timeout: float = 240) -> str:
        """Wait until it has ended and give its state."""
        end_of([self], timeout)
        return self.state()

    def xcom(self, task_id: str, map_index: int = -1) -> Any:
        """Give what a task returned."""
        path = f"{self.path}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._api.ask("GET", f"{path}?stringify=false&map_index={map_index}")["value"]

    def log(self, task_id: str, *, attempt: int, map_index: int = -1) -> list[dict[str, Any]]:
        """Give the log of one attempt of a task, entry by entry."""
        path = f"{self.path}/taskInstances/{task_id}/logs/{attempt}"
        answer = self._api.ask("GET", f"{path}?full_content=true&map_index={map_index}")
        return [entry for entry in answer["content"] if "level" in entry]

    def last_words(self, task_id: str, *, attempt: int = 1, map_index: int = -1, entries: int = 4) -> str:
        """Give the end of the log of one attempt of a task, in the words that a person reads there."""
        return "\n".join(map(_in_words, self.log(task_id, attempt=attempt, map_index=map_index)[-entries:]))


def end_of(runs: Iterable[Run], timeout: float) -> None:
    """Wait until all the runs have ended; LiveError, naming those that have not, when time is up."""
    deadline = time.monotonic() + timeout
    left = list(runs)
    while left:
        # Asked before the tasks, so that the last states are still noted after a run has ended.
        ended = [run for run in left if run.state() in _FINAL]
        for run in left:
            run.instances()
        left = [run for run in left if run not in ended]
        if left and time.monotonic() > deadline:
            raise LiveError(f"Not ended in {timeout:.0f} s: { {run.dag_id: dict(run.seen) for run in left} }")
        time.sleep(0.3)


def _in_words(entry: Mapping[str, Any]) -> str:
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or ()]
    return "\n".join([f"{entry['level']}: {entry['event']}", *errors])
