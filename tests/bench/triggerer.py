"""
Many sensors deferred in one real triggerer: CPU, memory, polls and blocked loops, beside HttpSensor's.

Everything is as in use but the way to the deferral: an Airflow home with its database, the task instances of
as many runs and their triggers in it, and the ``airflow triggerer`` command, which loads them from there. On
two cores it takes an hour until 5,000 worker processes have deferred as many tasks. Here one process does it
for each side, with the code that a worker runs and the same for both: see :mod:`tests.bench.deferring`.

The service is a process of its own for each side. It never has what they wait for, and is not counted.
"""

from __future__ import annotations

import math
import re
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.connections import connections
from tests.bench.processes import cpu_seconds, fresh_environment, measure
from tests.bench.report import Measured, print_comparison
from tests.bench.server import answer_after, answered, paths, serving
from tests.live.processes import Child, LiveError, die_politely, ended_afterwards, spawn

SIDES = {
    "CustomerMetricsSensor": "many_customer_metrics_sensors",
    "HttpSensor": "many_http_sensors",
}
# Seconds: 5,000 that log nothing have all asked after one or two minutes.
_START_TIMEOUT = 240
# The triggerer's supervisor keeps a log file open for each of its triggers.
_OTHER_FILES = 1000
_BLOCKED = re.compile(r"async thread was blocked for ([\d.]+) seconds")


@dataclass(frozen=True)
class Load:
    """
    How much waiting there is.

    :ivar sizes: sensors in the triggerer, one size after the other.
    :ivar poke_interval: seconds between two polls of a sensor.
    :ivar rounds: how many polls of each they are watched for once all have asked.
    :ivar latency: seconds the server takes to answer.
    """

    sizes: tuple[int, ...] = (1, 100, 1000, 5000)
    poke_interval: float = 15.0
    rounds: int = 3
    latency: float = 0.05

    @property
    def seconds_a_round(self) -> float:
        """Seconds from one poll of a sensor to its next when nothing is late."""
        return self.poke_interval + self.latency


@dataclass(frozen=True)
class Side:
    """
    One side's Airflow.

    :ivar dag_id: DAG of its sensors.
    :ivar url: the server that counts its polls.
    :ivar environment: environment of the processes of its Airflow.
    """

    dag_id: str
    url: str
    environment: Mapping[str, str]

    @property
    def home(self) -> Path:
        """Folder of its Airflow."""
        return Path(self.environment["AIRFLOW_HOME"])

    def defer_until(self, number: int) -> None:
        """Have as many sensors deferred, and none of them in a triggerer."""
        answer_after(self.url, 0.0)
        quiet = {**self.environment, "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL"}
        arguments = ["-m", "tests.bench.deferring", f"--dag-id={self.dag_id}", f"--until={number}"]
        if (deferred := measure(arguments, quiet)) != number:
            raise LiveError(f"{deferred} tasks of {self.dag_id} are deferred instead of {number}.")

    def still_deferred(self) -> int:
        """Count the sensors that wait in a triggerer."""
        query = (
            "SELECT count(*) FROM task_instance JOIN trigger ON trigger.id = trigger_id "
            "WHERE state = 'deferred' AND triggerer_id IS NOT NULL"
        )
        with closing(sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True)) as database:
            number: int = database.execute(query).fetchone()[0]
            return number


@dataclass(frozen=True)
class Watched:
    """
    What a triggerer did.

    :ivar starting: seconds from its start until all sensors had asked, NaN when they did not.
    :ivar blocked_at_start: how long its event loop was blocked, each time it said so until then, seconds.
    :ivar seconds: how long it was watched afterwards.
    :ivar polls: requests that the server answered then.
    :ivar asked: sensors that asked at least once then.
    :ivar cpu: CPU seconds of its two processes then.
    :ivar loop_cpu: those of the one with the event loop.
    :ivar memory: bytes of both in the end, pages that they share counted once where the system tells.
    :ivar blocked: how long its event loop was blocked, each time it said so.
    :ivar deferred: sensors that were waiting in the end.
    """

    starting: float
    blocked_at_start: list[float]
    seconds: float
    polls: int
    asked: int
    cpu: float
    loop_cpu: float
    memory: int
    blocked: list[float]
    deferred: int


def run(load: Load) -> None:
    """Measure both sides with one size after the other, and print each size as soon as it is done."""
    die_politely()
    _allow_files(max(load.sizes) + _OTHER_FILES)
    with _sides(load) as sides:
        for size in sorted(load.sizes):
            _defer_until(size, sides)
            watched = [_watch(side, size, load) for side in sides]
            title = (
                f"Triggerer: {size} deferred, asking every {load.poke_interval:g} s for "
                f"{load.rounds * load.seconds_a_round:.0f} s, answered after {load.latency * 1000:g} ms"
            )
            print_comparison(title, list(SIDES), _figures(watched, size / load.seconds_a_round))


@contextmanager
def _sides(load: Load) -> Iterator[list[Side]]:
    """Give each side an Airflow home with a database, for as long as the block lasts."""
    settings = {
        "BENCH_POKE_INTERVAL": str(load.poke_interval),
        # Kept for the last few tasks only, which are looked up whenever a task starts.
        "AIRFLOW__CORE__MAX_NUM_RENDERED_TI_FIELDS_PER_TASK": "0",
    }
    with ExitStack() as stack:
        sides = []
        for dag_id in SIDES.values():
            url = stack.enter_context(serving(latency=0.0))
            environment = stack.enter_context(fresh_environment(connections(url)))
            sides.append(Side(dag_id, url, {**environment, **settings}))
            command = [sys.executable, "-P", "-m", "airflow", "db", "migrate"]
            subprocess.run(command, env=sides[-1].environment, check=True, capture_output=True)
        yield sides


def _defer_until(size: int, sides: Sequence[Side]) -> None:
    # Side by side, as nothing is measured yet.
    with ThreadPoolExecutor() as pool:
        for deferring in [pool.submit(side.defer_until, size) for side in sides]:
            deferring.result()


def _watch(side: Side, size: int, load: Load) -> Watched:
    # A triggerer that is full does not look for more.
    airflow = [sys.executable, "-P", "-m", "airflow"]
    command = [*airflow, "triggerer", f"--capacity={2 * size}", "--skip-serve-logs"]
    log = side.home / "logs" / f"triggerer-{size}.log"
    answer_after(side.url, load.latency)
    with ended_afterwards() as children:
        begun = time.monotonic()
        triggerer = spawn("triggerer", command, side.environment, log)
        children.append(triggerer)
        starting = _until_all_asked(side, size, triggerer, begun)
        # What starting them left to do is done then, and few polls are due at the moment the watch begins.
        time.sleep(1.5 * load.poke_interval)
        blocked_at_start = _blocked(log)
        since, cpu, loop_cpu = time.monotonic(), cpu_seconds(triggerer), _loop_cpu(triggerer)
        time.sleep(load.rounds * load.seconds_a_round)
        until, cpu, loop_cpu = time.monotonic(), cpu_seconds(triggerer) - cpu, _loop_cpu(triggerer) - loop_cpu
        return Watched(
            starting=starting,
            blocked_at_start=blocked_at_start,
            seconds=until - since,
            polls=answered(side.url, since, until),
            asked=paths(side.url, since),
            cpu=cpu,
            loop_cpu=loop_cpu,
            memory=sum(_memory(process) for process in triggerer.family()),
            blocked=_blocked(log)[len(blocked_at_start) :],
            deferred=side.still_deferred(),
        )


def _until_all_asked(side: Side, size: int, triggerer: Child, begun: float) -> float:
    """Give the seconds that it took, or NaN: then the triggerer is too busy ever to come round."""
    while paths(side.url, begun) < size:
        triggerer.check()
        if time.monotonic() > begun + _START_TIMEOUT:
            return math.nan
        time.sleep(0.2)
    return time.monotonic() - begun


def _loop_cpu(triggerer: Child) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in triggerer.family()[1:])


def _memory(process: psutil.Process) -> int:
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.rss))


def _blocked(log: Path) -> list[float]:
    return [float(seconds) for seconds in _BLOCKED.findall(log.read_text(errors="replace"))]


def _allow_files(number: int) -> None:
    """Let this process and those that it starts open as many files, or say that it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        raise SystemExit(f"{number} open files are needed, and {hard} allowed: raise ulimit -Hn.")
    if soft != resource.RLIM_INFINITY and soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


def _figures(watched: list[Watched], polls_wanted: float) -> list[Measured]:
    def per_poll(seconds: float, polls: int) -> float:
        return seconds * 1000 / polls if polls else math.nan

    return [
        Measured("polls/s", [one.polls / one.seconds for one in watched], ".1f"),
        Measured("– of those asked for", [one.polls / one.seconds / polls_wanted for one in watched], ".2f"),
        Measured("sensors that asked", [one.asked for one in watched], ".0f"),
        Measured("CPU, % of a core", [100 * one.cpu / one.seconds for one in watched], ".1f"),
        Measured(
            "– of the event loop's process", [100 * one.loop_cpu / one.seconds for one in watched], ".1f"
        ),
        Measured("CPU per poll, ms", [per_poll(one.cpu, one.polls) for one in watched], ".2f"),
        Measured("memory, MB", [one.memory / 2**20 for one in watched], ".0f"),
        Measured("warnings of a blocked loop", [len(one.blocked) for one in watched], ".0f"),
        Measured("– the longest, s", [max(one.blocked, default=0) for one in watched], ".2f"),
        Measured("until all have asked, s", [one.starting for one in watched], ".0f"),
        Measured("– warnings of a blocked loop", [len(one.blocked_at_start) for one in watched], ".0f"),
        Measured("– the longest, s", [max(one.blocked_at_start, default=0) for one in watched], ".2f"),
        Measured("still deferred at the end", [one.deferred for one in watched], ".0f"),
    ]
