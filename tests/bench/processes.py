"""Fresh processes to measure in: each has an Airflow of its own and prints its figures as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from packaging.version import Version

from tests.live.airflow_home import AIRFLOW_VERSION, ROOT, AirflowHome
from tests.live.processes import Child

__all__ = ["ROOT", "cpu_seconds", "fresh_environment", "measure"]


@contextmanager
def fresh_environment(connections: Mapping[str, Mapping[str, Any]] | None = None) -> Iterator[dict[str, str]]:
    """
    Give the environment of an Airflow without any history, whose home lasts as long as the block.

    :param connections: connections by id.
    """
    if Version(AIRFLOW_VERSION) < Version("3.2"):
        raise SystemExit("The benchmarks need Airflow 3.2 or newer.")
    with TemporaryDirectory(prefix="zelto-bench-") as folder:
        home = AirflowHome(Path(folder), port=0, connections=connections or {})
        home.prepare()
        environment = home.environment()
        # Imports are to be measured as they are in use: without compiling.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        yield environment


def measure(arguments: Sequence[str], environment: Mapping[str, str]) -> Any:
    """Run Python with these arguments and give what the last line of its output holds."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def cpu_seconds(child: Child) -> float:
    """Give what a process and its descendants have used so far, those that have ended included."""
    seconds = 0.0
    for process in child.family():
        with suppress(psutil.NoSuchProcess):
            seconds += sum(process.cpu_times()[:4])  # its own, and of children that have ended
    return seconds
