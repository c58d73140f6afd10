"""Fresh processes to measure in: each has an Airflow of its own and prints its figures as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.version import Version

from tests.live.airflow_home import AIRFLOW_VERSION, ROOT, AirflowHome

__all__ = ["ROOT", "fresh_environment", "measure"]


@contextmanager
def fresh_environment() -> Iterator[dict[str, str]]:
    """Give the environment of an Airflow without any history, whose home lasts as long as the block."""
    if Version(AIRFLOW_VERSION) < Version("3.2"):
        raise SystemExit("The benchmarks need Airflow 3.2 or newer.")
    with TemporaryDirectory(prefix="zelto-bench-") as folder:
        home = AirflowHome(Path(folder), port=0)
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
