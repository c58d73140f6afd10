"""The REST API of a local Airflow, under the same few names on Airflow 2 and 3."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.live.airflow_home import IS_AIRFLOW_3
from tests.live.processes import LiveError

_FINAL = ("success", "failed")


class AirflowApi:
    """
    A client for the API server at ``url``, which lets everybody in.

    :param url: e.g. ``http://127.0.0.1:8080``.
    """

    def __init__(self, url: str) -> None:
        # The first answer of a part of Airflow can take long on a busy machine.
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=120)
        self._prefix = "/api/v2" if IS_AIRFLOW_3 else "/api/v1"

    def unhealthy(self) -> list[str]:
        """Name the parts of Airflow that are not healthy yet."""
        path = "/api/v2/monitor/health" if IS_AIRFLOW_3 else "/health"
        try:
            parts = self._client.get(path).raise_for_status().json()
            # On Airflow 2 the scheduler processes DAG files, and the part for it has no status.
            return [name for name, part in parts.items() if part["status"] not in ("healthy", None)]
        except (httpx.HTTPError, ValueError, AttributeError, LookupError, TypeError):
            return ["api-server"]  # not there yet, or somebody else on its port

    def warm_up(self) -> None:
        """Let the API for tasks build itself, which takes seconds, before a first task waits for it."""
        if IS_AIRFLOW_3:
            self._send("GET", "/execution/health")

    def log_in(self) -> None:
        """Get the token that Airflow 3 wants to see even when everybody is an admin."""
        if IS_AIRFLOW_3:
            token = self._send("GET", "/auth/token")["access_token"]
            self._client.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request below the API's prefix and give back its JSON; LiveError when there is none."""
        return self._send(method, self._prefix + path, body)

    def get(self, path: str) -> httpx.Response:
        """Get a page, or what a page asks for."""
        try:
            return self._client.get(path).raise_for_status()
        except httpx.HTTPError as error:
            raise LiveError(f"Airflow does not give {path}: {error!r}") from None

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise LiveError(f"Airflow does not answer {method} {path}: {error!r}") from None
        if answer.is_error:
            raise LiveError(f"Airflow refused {method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def add_connection(self, conn_id: str, connection: Mapping[str, Any]) -> None:
        """Store a connection in Airflow's database."""
        self.ask("POST", "/connections", {"connection_id": conn_id, **connection})

    def add_pool(self, name: str, slots: int) -> None:
        """Make a pool."""
        self.ask("POST", "/pools", {"name": name, "slots": slots})

    def knows(self, dag_id: str) -> bool:
        """Tell whether Airflow has parsed the DAG by now; LiveError when the file of its name is broken."""
        for error in self.ask("GET", "/importErrors")["import_errors"]:
            if Path(error["filename"]).stem == dag_id:
                raise LiveError(f"{error['filename']} cannot be imported:\n{error['stack_trace']}")
        return any(dag["dag_id"] == dag_id for dag in self.ask("GET", "/dags?limit=100")["dags"])

    def param_default(self, dag_id: str, name: str) -> Any:
        """Give the default of one of the DAG's params."""
        return self.ask("GET", f"/dags/{dag_id}/details")["params"][name]["value"]

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> str:
        """Start a run of the DAG and give its id."""
        body = {"conf": conf, **({"logical_date": None} if IS_AIRFLOW_3 else {})}
        run_id: str = self.ask("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"]
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Give the state of a run."""
        state: str = self.ask("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"]
        return state

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Give the state of each task of a run, in no particular order."""
        instances = self.ask("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {instance["task_id"]: instance["state"] for instance in instances}

    def follow(self, dag_id: str, run_id: str, *, timeout: float) -> Iterator[tuple[str, str]]:
        """
        Yield each task with each new state it is seen in, until the run has ended.

        LiveError when the run takes longer than ``timeout`` seconds.
        """
        seen: dict[str, str | None] = {}
        deadline = time.monotonic() + timeout
        ended = False
        while not ended:
            # Asked first, so that the last states are still read after the run has ended.
            ended = self.run_state(dag_id, run_id) in _FINAL
            for task_id, state in self.task_states(dag_id, run_id).items():
                if state and seen.get(task_id) != state:
                    seen[task_id] = state
                    yield task_id, state
            if time.monotonic() > deadline:
                raise LiveError(f"The run of {dag_id} did not end in {timeout:.0f} s: {seen}")
            time.sleep(0.2)

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Give what a task returned."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.ask("GET", f"{path}?stringify=false")["value"]
