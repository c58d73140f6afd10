"""One side of the waits: triggers of one kind, waiting in a process that is set up as a triggerer is."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from uuid import UUID

import psutil
from airflow.executors.workloads.trigger import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger
from airflow.providers.http.triggers.http import HttpSensorTrigger
from airflow.sdk.log import configure_logging
from airflow.triggers.base import BaseTrigger

from airflow_provider_zelto.triggers.zelto import CustomerMetricsTrigger
from tests.bench.loop_watch import LoopWatch
from tests.bench.server import answered, switch_to
from tests.bench.wait_figures import Phase, Wait


def _customer_metrics_trigger(conversation_id: str, poke_interval: float) -> BaseTrigger:
    return CustomerMetricsTrigger(
        conversation_id=conversation_id, labels=["Compliance Check"], poke_interval=poke_interval
    )


def _http_sensor_trigger(conversation_id: str, poke_interval: float) -> BaseTrigger:
    return HttpSensorTrigger(
        endpoint=f"unknown/{conversation_id}/customer-metrics", poke_interval=poke_interval
    )


TRIGGERS: Mapping[str, Callable[[str, float], BaseTrigger]] = {
    "CustomerMetricsTrigger": _customer_metrics_trigger,
    "HttpSensorTrigger": _http_sensor_trigger,
}


async def _wait(
    trigger: str, url: str, number: int, poke_interval: float, seconds: float, status: int | None
) -> Wait:
    runner = TriggerRunner()
    runner.to_create.extend(_workload(trigger, index, poke_interval) for index in range(1, number + 1))
    memory, watch = _resident_memory(), LoopWatch()
    with watch.watching():
        start = await _phase(url, watch, 2 * poke_interval, runner.create_triggers())
        if status is not None:
            await asyncio.to_thread(switch_to, url, status)
        waiting = await _phase(url, watch, seconds)
    tasks = [details["task"] for details in runner.triggers.values()]
    wait = Wait(
        start=start,
        waiting=waiting,
        memory=_resident_memory() - memory,
        log_lines=_log().read_bytes().count(b"\n"),
        still_waiting=sum(not task.done() for task in tasks),
    )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return wait


def _workload(trigger: str, index: int, poke_interval: float) -> RunTrigger:
    classpath, arguments = TRIGGERS[trigger](str(UUID(int=index)), poke_interval).serialize()
    encrypted = Trigger.encrypt_kwargs(arguments)
    return RunTrigger(id=index, ti=None, classpath=classpath, encrypted_kwargs=encrypted)


async def _phase(
    url: str, watch: LoopWatch, seconds: float, beginning: Awaitable[None] | None = None
) -> Phase:
    # What came before would decide how soon a full collection falls due, and whose fault it seems to be.
    gc.collect()
    await watch.begin_anew()
    since, cpu = time.monotonic(), time.process_time()
    if beginning is not None:
        await beginning
    await asyncio.sleep(max(0.0, since + seconds - time.monotonic()))
    until, cpu = time.monotonic(), time.process_time() - cpu
    stalls = watch.stalls
    polls = await asyncio.to_thread(answered, url, since, until)
    return Phase(polls=polls, cpu=cpu, stalls=stalls)


def _resident_memory() -> int:
    return int(psutil.Process().memory_info().rss)


def _log() -> Path:
    return Path(os.environ["AIRFLOW_HOME"]) / "logs" / "triggerer.log"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trigger", choices=TRIGGERS, required=True)
    parser.add_argument("--url", required=True, help="the server that counts the polls")
    parser.add_argument("--number", type=int, required=True, help="how many triggers")
    parser.add_argument("--poke-interval", type=float, required=True, help="seconds")
    parser.add_argument("--seconds", type=float, required=True, help="how long to watch them")
    parser.add_argument("--status", type=int, help="what the server answers once all are waiting")
    parser.add_argument("--plain", action="store_true", help="as if the aiohttp extra were not installed")
    options = vars(parser.parse_args())
    if options.pop("plain"):
        sys.modules["httpx_aiohttp"] = None  # type: ignore[assignment]
    with _log().open("wb", buffering=0) as log:
        # As in a triggerer, which sends its lines to its supervisor one by one.
        configure_logging(json_output=True, output=log, sending_to_supervisor=True)
        wait = asyncio.run(_wait(**options))
    print(wait.model_dump_json())


if __name__ == "__main__":
    main()
