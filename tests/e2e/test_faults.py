"""Things break while DAGs run; the emulator's journal and the runs tell what came of it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from airflow_provider_zelto.emulator import Emulator
from tests.e2e.runs import Run, end_of
from tests.live.local_airflow import LocalAirflow
from tests.live.processes import wait_until

_ROWS = 400


def _calls(zelto: Emulator, count: int) -> list[str]:
    return [zelto.add_conversation() for _ in range(count)]


def _waits(trigger: Callable[..., Run], calls: list[str]) -> Run:
    """Start a wait for each call, and give the run once all of them are deferred."""
    run = trigger("e2e_waits", conversation_ids=calls)
    run.wait_for("deferred", count=len(calls), timeout=180)
    return run


def _last_request(zelto: Emulator) -> int:
    entries = zelto.journal()
    return entries[-1]["n"] if entries else 0


def _asked_since(zelto: Emulator, number: int, calls: list[str]) -> set[str]:
    """Give the calls that somebody asked for since a request."""
    paths = {entry["path"] for entry in zelto.journal(since=number, method="GET")}
    return {call for call in calls if any(call in path for path in paths)}


def _let_them_end(zelto: Emulator, run: Run, calls: list[str]) -> None:
    """Submit what the waits wait for; each must find it once, at its first try, and ask no more."""
    for call in calls:
        zelto.add_metric(call, "Late", score=50)
    assert run.end() == "success"
    assert {(found["state"], found["try_number"]) for found in run.instances()} == {("success", 1)}
    for number, call in enumerate(calls):
        [metric] = zelto.metrics(call)
        assert run.xcom("wait", number) == [metric]
        asked = [entry["at"] for entry in zelto.journal(path=call)]
        assert len([at for at in asked if at > metric["createdAt"]]) == 1


def test_waits_survive_a_triggerer_that_is_killed(
    airflow: LocalAirflow, trigger: Callable[..., Run], zelto: Emulator
) -> None:
    calls = _calls(zelto, 50)
    run = _waits(trigger, calls)
    airflow.processes["triggerer"].kill()
    airflow.start("triggerer")
    before = _last_request(zelto)
    wait_until(
        lambda: len(_asked_since(zelto, before, calls)) == len(calls),
        what="The takeover of all waits",
        timeout=90,
        children=[airflow.processes["triggerer"]],
    )
    _let_them_end(zelto, run, calls)


def test_waits_survive_an_api_that_is_down_for_a_while(trigger: Callable[..., Run], zelto: Emulator) -> None:
    calls = _calls(zelto, 5)
    run = _waits(trigger, calls)
    zelto.stop()
    time.sleep(30)
    zelto.start()
    assert {found["state"] for found in run.instances() if found["task_id"] == "wait"} == {"deferred"}
    _let_them_end(zelto, run, calls)
    assert "Asking again in" in str(run.log("wait", attempt=1, map_index=0))


def test_waits_and_submits_survive_a_scheduler_that_is_killed(
    airflow: LocalAirflow, trigger: Callable[..., Run], zelto: Emulator, tmp_path: Path
) -> None:
    calls = _calls(zelto, 3)
    run = _waits(trigger, calls)
    submits, rows = _submits(trigger, zelto, tmp_path)
    _wait_until_under_way(zelto, rows)
    airflow.processes["scheduler"].kill()
    airflow.start("scheduler")
    _let_them_end(zelto, run, calls)
    assert submits.end() == "success"
    _judge(zelto, rows)


def _submits(trigger: Callable[..., Run], zelto: Emulator, folder: Path) -> tuple[Run, list[dict[str, Any]]]:
    """Start a single submit whose answer never comes, and a bulk submit; give the rows of both."""
    single, *calls = _calls(zelto, 9)
    zelto.fault(method="POST", path=single, action="hang", when="after", count=1)
    zelto.fault(method="POST", delay=0.05)
    rows = [
        {"conversation_id": calls[number % 8], "label": f"Check {number // 8}", "score": number % 101}
        for number in range(_ROWS)
    ]
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    run = trigger("e2e_submits", conversation_id=single, rows=path.as_uri())
    return run, [{"conversation_id": single, "label": "Empathy", "score": 7}, *rows]


def _posts(zelto: Emulator, rows: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """Count the submits of each call and label."""
    calls = {row["conversation_id"] for row in rows}
    sent = [
        (entry["path"].split("/")[3], entry["body"]["label"])
        for entry in zelto.journal(method="POST")
        if entry["body"]
    ]
    return Counter(pair for pair in sent if pair[0] in calls)


def _wait_until_under_way(zelto: Emulator, rows: list[dict[str, Any]]) -> None:
    def under_way() -> bool:
        posts = _posts(zelto, rows)
        return posts[rows[0]["conversation_id"], "Empathy"] > 0 and 100 < posts.total() < _ROWS

    wait_until(under_way, what="The first submits", timeout=60)


def _judge(zelto: Emulator, rows: list[dict[str, Any]]) -> None:
    """See that Zelto holds every row, once, with its value."""
    held = {
        (call, metric["label"]): metric["score"]
        for call in {row["conversation_id"] for row in rows}
        for metric in zelto.metrics(call)
    }
    assert held == {(row["conversation_id"], row["label"]): row["score"] for row in rows}


@pytest.mark.parametrize("what", ["task", "worker"])
def test_submits_survive_a_worker_that_is_killed(
    trigger: Callable[..., Run], zelto: Emulator, tmp_path: Path, what: str
) -> None:
    run, rows = _submits(trigger, zelto, tmp_path)
    _wait_until_under_way(zelto, rows)
    for task_id in ("single", "bulk"):
        _kill(run.instance(task_id)["pid"], with_parent=what == "worker")
    zelto.clear_faults()
    assert run.end() == "success"
    assert {task: run.instance(task)["try_number"] for task in ("single", "bulk")} == {"single": 2, "bulk": 2}
    _judge(zelto, rows)
    posts = _posts(zelto, rows)
    # The progress that the killed task had stored is not done again.
    assert sum(count - 1 for count in posts.values()) < _ROWS / 2
    assert posts[rows[0]["conversation_id"], "Empathy"] == 2


def _kill(pid: int, *, with_parent: bool) -> None:
    """Kill the process of a task, and the worker above it first where that dies too."""
    process = psutil.Process(pid)
    parent = process.parent()
    if with_parent:
        assert parent is not None
        assert "LocalExecutor" in " ".join(parent.cmdline())
        parent.kill()
    with suppress(psutil.NoSuchProcess):
        process.kill()


def test_a_storm_of_429_costs_time_and_nothing_else(
    trigger: Callable[..., Run], zelto: Emulator, tmp_path: Path
) -> None:
    calls = _calls(zelto, 3)
    waits = _waits(trigger, calls)
    zelto.fault(status=429, retry_after=1, share=0.4)
    path = tmp_path / "rows.jsonl"
    [single, bulk] = _calls(zelto, 2)
    rows = [{"conversation_id": bulk, "label": f"Check {number}", "score": number} for number in range(40)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    submits = trigger("e2e_submits", conversation_id=single, rows=path.as_uri())
    end_of([submits], timeout=180)
    assert submits.state() == "success"
    assert "requests repeated" in str(submits.log("bulk", attempt=1))
    _judge(zelto, [{"conversation_id": single, "label": "Empathy", "score": 7}, *rows])
    refused = zelto.journal(status=429)
    assert len([entry for entry in refused if bulk in entry["path"]]) > 5
    for call in calls:
        zelto.add_metric(call, "Late", score=50)
    assert waits.end() == "success"
    assert {found["try_number"] for found in waits.instances()} == {1}
