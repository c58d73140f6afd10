"""A fresh Airflow home: its configuration, its environment and its database."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from configparser import ConfigParser
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from typing import Any

from cryptography.fernet import Fernet
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
AIRFLOW_VERSION = version("apache-airflow")
IS_AIRFLOW_3 = Version(AIRFLOW_VERSION).major >= 3

# What a browser needs on Airflow 2 to get in without a login; Airflow 3 has a setting for it.
_OPEN_WEBSERVER = 'AUTH_ROLE_PUBLIC = "Admin"\n'


@dataclass(frozen=True)
class AirflowHome:
    """
    A folder that holds everything one Airflow writes.

    :param path: the folder; must not exist yet.
    :param port: loopback port of its API server.
    :param dags: folder of DAG files.
    :param connections: connections by id, for the environment of its processes instead of its database.
    :param options: options by section, over those it has anyway.
    """

    path: Path
    port: int
    dags: Path = ROOT / "example_dags"
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the UI and the API answer."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def logs(self) -> Path:
        """Folder for the logs of tasks and of the processes themselves."""
        return self.path / "logs"

    def prepare(self) -> None:
        """Write the configuration, so that every process finds the same one."""
        self.logs.mkdir(parents=True)
        parser = ConfigParser(interpolation=None)
        parser.read_dict(self._configuration())
        with (self.path / "airflow.cfg").open("w") as file:
            parser.write(file)
        if not IS_AIRFLOW_3:
            (self.path / "webserver_config.py").write_text(_OPEN_WEBSERVER)

    def environment(self) -> dict[str, str]:
        """Give the environment for its processes: no other Airflow's settings, no proxy in the way."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        bin_folder = str(Path(sys.executable).parent)
        return {
            **own,
            **{f"AIRFLOW_CONN_{key.upper()}": json.dumps(value) for key, value in self.connections.items()},
            "AIRFLOW_HOME": str(self.path),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            # macOS ends a forked process that has looked up a host name, unless it is told not to.
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
            "PATH": os.pathsep.join([bin_folder, own.get("PATH", "")]),
        }

    def task_log(self, dag_id: str, run_id: str, task_id: str, lines: int = 12) -> str:
        """Give the last lines of a task's last attempt, in words."""
        folder = self.logs / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        attempts = sorted(folder.rglob("attempt=*.log"), key=lambda log: log.stat().st_mtime)
        if not attempts:
            return "(it has not started)"
        return "\n".join(map(_in_words, attempts[-1].read_text().splitlines()[-lines:]))

    def _configuration(self) -> dict[str, dict[str, str]]:
        common = {
            "core": {
                "dags_folder": str(self.dags),
                "load_examples": "False",
                "fernet_key": Fernet.generate_key().decode(),
                "parallelism": "4",
                "dags_are_paused_at_creation": "False",
            },
            "database": {
                "sql_alchemy_conn": f"sqlite:///{self.path / 'airflow.db'}",
                # The API server starts while the tables are still being made.
                "check_migrations": "False",
            },
            "logging": {"base_log_folder": str(self.logs)},
            "scheduler": {"scheduler_idle_sleep_time": "0.2"},
            "usage_data_collection": {"enabled": "False"},
        }
        return _merged(common, self._airflow_3() if IS_AIRFLOW_3 else self._airflow_2(), self.options)

    def _airflow_3(self) -> dict[str, dict[str, str]]:
        return {
            "core": {
                "executor": "LocalExecutor",
                "execution_api_server_url": f"{self.url}/execution/",
                "simple_auth_manager_all_admins": "True",
            },
            "api": {
                "host": "127.0.0.1",
                "port": str(self.port),
                "base_url": self.url,
                "workers": "1",
                "secret_key": token_hex(32),
            },
            # Without an issuer Airflow 3.0 makes tokens that newer releases of PyJWT refuse.
            "api_auth": {"jwt_secret": token_hex(32), "jwt_issuer": "local-airflow"},
        }

    def _airflow_2(self) -> dict[str, dict[str, str]]:
        return {
            # The only executor that Airflow 2 allows on SQLite.
            "core": {"executor": "SequentialExecutor"},
            "api": {"auth_backends": "airflow.api.auth.backend.default"},
            "webserver": {
                "web_server_host": "127.0.0.1",
                "web_server_port": str(self.port),
                "base_url": self.url,
                "workers": "1",
                "secret_key": token_hex(32),
            },
        }


def _in_words(line: str) -> str:
    """Shorten a line of Airflow 3's JSON logs to its level, its message and the errors behind it."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    errors = [f"  {error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail", ())]
    return "\n".join([f"{entry['level']}: {entry['event']}", *errors])


def _merged(*layers: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    merged: dict[str, dict[str, str]] = {}
    for layer in layers:
        for section, options in layer.items():
            merged.setdefault(section, {}).update(options)
    return merged
