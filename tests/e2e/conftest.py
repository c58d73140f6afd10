"""One real Airflow and one emulator for all end-to-end tests, and a browser to look at them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from airflow_provider_zelto.emulator import Emulator
from tests.e2e.browser import chromium, new_page
from tests.e2e.runs import Run
from tests.live.airflow_home import ROOT, AirflowHome
from tests.live.local_airflow import LocalAirflow, local_airflow
from tests.live.processes import free_port

LOGS = ROOT / ".logs" / "e2e"
# Nothing else on this machine looks like them: wherever they turn up, they have leaked.
KEY = "zk-e2e-7c1f94d2b8a350e6"
WRONG_KEY = "zk-e2e-wrong-5d0b63aa91"
PROXY_PASSWORD = "e2e-proxy-3e8d0c77f1"

_OPTIONS = {
    "core": {"test_connection": "Enabled"},
    # A worker or a triggerer that was killed is missed sooner than in everyday life.
    "scheduler": {
        "task_instance_heartbeat_timeout": "20",
        "task_instance_heartbeat_timeout_detection_interval": "2",
        "task_instance_heartbeat_sec": "2",
        "orphaned_tasks_check_interval": "5",
    },
    "dag_processor": {"refresh_interval": "2"},
    "triggerer": {"job_heartbeat_sec": "2", "triggerer_health_check_threshold": "10"},
}
_SCORES = 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Look for leaks after everything else has had its chance to leak."""
    items.sort(key=lambda item: item.path.stem == "test_secrets")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"Logs are kept in {LOGS}")


@pytest.fixture(scope="session")
def folder() -> Path:
    """The folder of this session; it stays until the next one."""
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    return LOGS


@pytest.fixture(scope="session")
def zelto() -> Iterator[Emulator]:
    with Emulator(api_keys=KEY) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def _no_faults_left(zelto: Emulator) -> Iterator[None]:
    yield
    zelto.clear_faults()


@pytest.fixture(scope="session")
def calls_to_score(zelto: Emulator) -> list[str]:
    """The calls in the database that the SQL example reads."""
    return [zelto.add_conversation() for _ in range(_SCORES)]


@pytest.fixture(scope="session")
def connections(zelto: Emulator, folder: Path, calls_to_score: list[str]) -> dict[str, dict[str, Any]]:
    """What the DAGs need, by connection id."""
    host = {"zelto": zelto.url, "roark": f"{zelto.url}/roark", "coval": f"{zelto.url}/coval"}
    ours = {
        f"{service}_default": {"conn_type": service, "host": url, "password": KEY}
        for service, url in host.items()
    }
    # Zelto has a page for each call; the emulator has one for all.
    ours["zelto_default"]["extra"] = json.dumps(
        {"call_url_template": f"{zelto.url}/?call={{conversation_id}}"}
    )
    warehouse = {"conn_type": "sqlite", "host": str(_warehouse(folder, calls_to_score))}
    return {
        **ours,
        "zelto_refused": {**ours["zelto_default"], "password": WRONG_KEY},
        "warehouse": {**warehouse},
    }


def _warehouse(folder: Path, calls: list[str]) -> Path:
    path = folder / "warehouse.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE call_scores (call_id, check_name, points, explanation)")
        database.executemany(
            "INSERT INTO call_scores VALUES (?, 'Compliance Check', ?, 'From SQL')",
            [(call, 40 * number) for number, call in enumerate(calls)],
        )
    database.close()
    return path


@pytest.fixture(scope="session")
def airflow(folder: Path, connections: Mapping[str, Mapping[str, Any]]) -> Iterator[LocalAirflow]:
    """An Airflow that has the example DAGs and those of these tests, with its connections in its database."""
    dags = folder / "dags"
    dags.mkdir()
    home = AirflowHome(folder / "airflow", free_port(), dags, options=_OPTIONS)
    with local_airflow(home) as running:
        for conn_id, connection in connections.items():
            running.api.add_connection(conn_id, connection)
        running.api.add_pool("zelto", slots=4)
        # Asset watchers look for their connection as soon as their DAG is there.
        for name, source in {
            "examples": ROOT / "example_dags",
            "e2e": ROOT / "tests" / "e2e" / "dags",
        }.items():
            shutil.copytree(source, dags / name, ignore=shutil.ignore_patterns("__pycache__"))
        yield running


@pytest.fixture(scope="session")
def trigger(airflow: LocalAirflow) -> Callable[..., Run]:
    """Trigger a DAG, its params given by name."""

    def start(dag_id: str, **conf: Any) -> Run:
        airflow.wait_for_dag(dag_id)
        return Run.start(airflow.api, dag_id, conf)

    return start


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = new_page(browser)
    yield opened
    opened.context.close()
