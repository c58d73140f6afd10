"""
Airflow imported once, and a fork of it for each of its commands.

Importing Airflow takes seconds, and a whole Airflow is five commands.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

# What several commands import; not every Airflow has all of it.
_SHARED = (
    "airflow.__main__",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.dag_processing.manager",
    "airflow.api_fastapi",
)


class Forker:
    """The process that is forked, and the pids of its forks."""

    def __init__(self) -> None:
        self._pids: list[int] = []

    def answer(self, argv: list[str], log: str, wait: bool) -> int:
        """Start ``airflow`` with these arguments; give its pid, or its exit status when it is waited for."""
        if not (pid := os.fork()):
            _become(argv, Path(log))
        if wait:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self._pids.append(pid)
        return pid

    def reap(self) -> None:
        """Let the forks that have ended disappear."""
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def end(self) -> None:
        """Ask the forks that are left to end."""
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)


def _become(argv: list[str], log: Path) -> None:
    """Turn this fork into the command."""
    from airflow.__main__ import main as airflow

    os.setsid()
    with log.open("ab") as output, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.argv = ["airflow", *argv]
    status = 1
    try:
        airflow()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        # Leaving any other way would run on in the forker's own loop.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Answer each line of JSON on stdin with a number on stdout; whoever closes stdin wants all to end."""
    replies = os.fdopen(os.dup(1), "w")
    # Airflow logs to stdout, also while it is imported.
    os.dup2(2, 1)
    for module in filter(find_spec, _SHARED):
        importlib.import_module(module)
    forker = Forker()
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], 0.2)
        forker.reap()
        if readable and not (line := sys.stdin.readline()):
            break
        if readable:
            print(forker.answer(**json.loads(line)), file=replies, flush=True)
    forker.end()


if __name__ == "__main__":
    main()
