"""An Airflow on PostgreSQL and Redis, with Celery workers, each of them a process of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.live.airflow_home import AirflowHome
from tests.live.local_airflow import LocalAirflow, local_airflow
from tests.live.local_emulator import LocalEmulator, local_emulator
from tests.live.processes import LiveError, ended_afterwards, free_port, spawn, wait_until
from tests.transfers.databases import postgresql_server

WORKERS = ("worker-1", "worker-2")
TASKS_A_WORKER = 2


@dataclass
class Cluster:
    """An Airflow with several workers, the Zelto it talks to, and the broker between its parts."""

    airflow: LocalAirflow
    zelto: LocalEmulator
    broker: str


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a Redis that keeps nothing, and give its URL."""
    if not (program := shutil.which("redis-server")):
        raise LiveError("redis-server is missing: apt-get install redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with ended_afterwards() as children:
        children.append(spawn("redis", command, os.environ, folder / "redis.log"))

        def is_up() -> bool:
            try:
                return bool(Redis(port=port).ping())
            except RedisConnectionError:
                return False

        wait_until(is_up, what="The start of Redis", timeout=30, children=children)
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The whole of it, up and with its workers waiting for tasks."""
    folder = tmp_path_factory.mktemp("cluster")
    with postgresql_server() as postgres, redis_server(folder) as broker, local_emulator(folder) as zelto:
        socket = postgres.get_postmaster_info().socket_dir
        address = f"postgres:@/postgres?host={socket}"
        options = {
            "core": {"executor": "CeleryExecutor", "parallelism": "16"},
            "database": {
                "sql_alchemy_conn": f"postgresql+psycopg2://{address}",
                "sql_alchemy_conn_async": f"postgresql+asyncpg://{address}",
            },
            "celery": {
                "broker_url": broker,
                "result_backend": f"db+postgresql+psycopg2://{address}",
                "worker_concurrency": str(TASKS_A_WORKER),
                # Without it the worker that asks first takes tasks that the other one is free for.
                "worker_prefetch_multiplier": "1",
                "task_acks_late": "True",
            },
        }
        home = AirflowHome(folder / "airflow", free_port(), connections=zelto.connections, options=options)
        with local_airflow(home) as airflow:
            for name in WORKERS:
                airflow.start(name, "celery", "worker", "--celery-hostname", name, "--skip-serve-logs")
            yield Cluster(airflow, zelto, broker)
