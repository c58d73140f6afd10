"""What the tests share: a private Airflow, a local Zelto and the connection to it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]
AIRFLOW_VERSION = tuple(map(int, version("apache-airflow").split(".")[:2]))
AIRFLOW_HOME = TemporaryDirectory(prefix="airflow-", ignore_cleanup_errors=True)
API_KEY = "zk-3f1d9c07a4e84b52"


def _environment() -> dict[str, str]:
    folders = {"tests": ROOT / "tests" / "dags", "examples": ROOT / "example_dags"}
    bundles = [
        {
            "name": name,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder)},
        }
        for name, folder in folders.items()
    ]
    return {
        "AIRFLOW_HOME": AIRFLOW_HOME.name,
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(folders["tests"]),
        # The only executor that Airflow 2 allows on SQLite; Airflow 3 has it no more.
        "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor" if AIRFLOW_VERSION < (3, 0) else "LocalExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{AIRFLOW_HOME.name}/airflow.db",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
    }


# This has to stand before Airflow is first imported: it reads its settings only once.
for _name in list(os.environ):
    if _name.startswith("AIRFLOW") or _name.lower().endswith("_proxy"):
        del os.environ[_name]
os.environ.update(_environment())

# A busy machine is slow, and a run that fails today has to fail tomorrow too.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_unconfigure() -> None:
    AIRFLOW_HOME.cleanup()


@pytest.fixture(scope="session")
def local_zelto() -> Iterator[Any]:
    from airflow_provider_zelto.emulator import Emulator

    with Emulator(api_keys=API_KEY) as running:
        yield running


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set an Airflow connection: a host and a key, and whatever else a test wants in it."""

    def set_connection(
        host: str | None = None,
        *,
        conn_id: str = "zelto_default",
        password: str | None = API_KEY,
        **fields: Any,
    ) -> None:
        connection = {"conn_type": "zelto", "host": host, "password": password, **fields}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    return set_connection


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat requests at once."""
    from tenacity import wait_none

    from airflow_provider_zelto import api_request

    monkeypatch.setattr(api_request, "_backoff", wait_none())


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pauses of a wait after failures last no longer than its poke interval."""
    from airflow_provider_zelto import conditions

    monkeypatch.setattr(conditions, "_LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(conditions, "_LONGEST_RETRY_AFTER", 0.01)


@pytest.fixture
def emulator(local_zelto: Any, connect: Callable[..., None], no_backoff: None) -> Any:
    """The local Zelto at its start, and the default connection to it."""
    local_zelto.reset()
    connect(local_zelto.url)
    return local_zelto


@pytest.fixture
def call(emulator: Any) -> str:
    """The id of a call that has no metrics yet."""
    return emulator.add_conversation()


@pytest.fixture(scope="session")
def airflow_db() -> None:
    from airflow.utils.db import initdb

    initdb()
    if AIRFLOW_VERSION == (3, 2):
        _keep_task_api()


def _keep_task_api() -> None:
    """Airflow 3.2 makes the API of ``dag.test()`` anew for each task, and asks it before it is up."""
    from airflow.sdk.execution_time import supervisor

    server = supervisor.in_process_api_server()
    assert server.transport
    while not hasattr(server.app.state, "svcs_registry"):
        time.sleep(0.05)
    supervisor.in_process_api_server = lambda: server


@pytest.fixture(params=["sync", "async", "aiohttp"])
def ask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Call a method of a new hook, ``ask("list", call)``: synchronously, asynchronously, or over aiohttp."""
    from airflow_provider_zelto.hooks.zelto import ZeltoHook

    methods = {"submit": "submit_customer_metric", "list": "list_customer_metrics"}

    def synchronously(what: str, *args: Any, **kwargs: Any) -> Any:
        with ZeltoHook() as hook:
            return getattr(hook, methods[what])(*args, **kwargs)

    async def asynchronously(what: str, *args: Any, **kwargs: Any) -> Any:
        async with ZeltoHook() as hook:
            return await getattr(hook, f"a{methods[what]}")(*args, **kwargs)

    if request.param == "sync":
        return synchronously
    if request.param == "async":
        monkeypatch.setitem(sys.modules, "httpx_aiohttp", None)
    return lambda *args, **kwargs: asyncio.run(asynchronously(*args, **kwargs))


class Line(NamedTuple):
    """A line in a log."""

    level: str
    text: str


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[Line]]]:
    """Give all that was logged: by the standard library and, as tasks do since Airflow 3.1, by structlog."""
    for name in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)

    def standard() -> list[Line]:
        return [Line(record.levelname, record.getMessage()) for record in caplog.records]

    if find_spec("structlog") is None:
        yield standard
        return
    from structlog.testing import capture_logs

    with capture_logs() as entries:
        yield lambda: [
            *standard(),
            *(Line(entry["log_level"].upper(), str(entry["event"])) for entry in entries),
        ]


@pytest.fixture
def xcom() -> Iterator[Any]:
    """The XCom, yet to come, of a task named ``anything``, in whose DAG a test makes its tasks."""
    from airflow.providers.common.compat.sdk import DAG, task

    with DAG("any", schedule=None):

        @task
        def anything() -> dict[str, object]:
            return {}

        yield anything()


class Run:
    """What came of a DAG run."""

    def __init__(self, dag_run: Any) -> None:
        self._dag_run = dag_run
        self.stored: Any = None
        self.tasks = {(ti.task_id, ti.map_index): ti for ti in dag_run.get_task_instances()}
        self.states = {ti.task_id: str(ti.state) for ti in self.tasks.values()}

    @property
    def state(self) -> str:
        return str(self._dag_run.state)

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        return self.tasks[task_id, map_index].xcom_pull(task_ids=task_id, key=key, map_indexes=map_index)


def run_with_call(dag: Any, local_zelto: Any) -> Run:
    """Run a DAG about a new call; ``stored`` is what Zelto holds of it afterwards, by label."""
    local_zelto.reset()
    call = local_zelto.add_conversation()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW_CONN_ZELTO_DEFAULT", local_zelto.connection_json())
        finished = Run(dag.test(run_conf={"conversation_id": call}))
    finished.stored = {metric["label"]: metric for metric in local_zelto.metrics(call)}
    return finished


@pytest.fixture
def run_dag(airflow_db: None) -> Callable[..., Run]:
    """Run a DAG with ``dag.test()``, its params given by name."""
    return lambda dag, **params: Run(dag.test(run_conf=params))
