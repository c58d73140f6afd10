from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from threading import Thread
from time import monotonic, sleep

import pytest

from airflow_provider_zelto.operators.zelto import BulkSubmitCustomerMetricsOperator
from tests.batches import judge, make_rows, rows_sent, submits
from tests.conftest import ROOT


def bulk(metrics, **options):
    return BulkSubmitCustomerMetricsOperator(task_id="bulk", metrics=metrics, **options)


def calls(zelto, count=20):
    return [zelto.add_conversation() for _ in range(count)]


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([{"status": 503, "share": 0.01}], id="1-percent-503"),
        pytest.param([{"status": 503, "share": 0.2}], id="20-percent-503"),
        pytest.param([{"status": 429, "retry_after": 0.5, "every": 200}], id="429-every-200"),
        pytest.param(
            [
                {"action": "reset", "share": 0.03},
                {"action": "reset", "when": "after", "share": 0.03, "seed": 1},
                {"action": "cut_body", "share": 0.03, "seed": 2},
                {"action": "html", "share": 0.03, "seed": 3},
            ],
            id="resets-cut-bodies-proxy-pages",
        ),
        pytest.param([{"action": "hang", "share": 0.03}], id="hangs"),
    ],
)
def test_no_row_is_lost_and_the_last_one_wins(zelto, faults):
    rows = make_rows(calls(zelto), 400)
    for fault in faults:
        zelto.fault(**fault)
    summary = bulk(rows, concurrency=32).execute({})
    assert {name: summary[name] for name in ("submitted", "rejected")} == {"submitted": 400, "rejected": 0}
    judge(zelto, rows)
    assert all(fault["hits"] for fault in zelto.faults())


@pytest.mark.usefixtures("transport")
def test_a_429_leaves_the_service_alone_for_as_long_as_it_asked(zelto):
    rows = make_rows(calls(zelto), 100)
    zelto.fault(status=429, retry_after=2, count=1, path=rows[7]["conversation_id"])
    bulk(rows, concurrency=8).execute({})
    judge(zelto, rows)
    [told] = [entry["at"] for entry in submits(zelto, 429)]
    times = [datetime.fromisoformat(entry["at"]) for entry in submits(zelto, None)]
    told = datetime.fromisoformat(told)
    # Requests that were under way when it was told still arrive.
    quiet = told + timedelta(seconds=0.5), told + timedelta(seconds=2)
    assert not [time for time in times if quiet[0] < time < quiet[1]]
    assert max(times) > quiet[1]


@pytest.mark.usefixtures("transport")
def test_every_tenth_row_may_be_bad(zelto, tmp_path):
    rows = make_rows(calls(zelto), 500)
    bad = {number: row for number, row in enumerate(rows, 1) if number % 10 == 0}
    for number, row in bad.items():
        if number % 20:
            row["score"] = 101
        else:
            row["conversation_id"] = "00000000-0000-4000-8000-000000000000"
    path = tmp_path / "rejects.jsonl"
    summary = bulk(rows, max_rejects=None, rejects_path=str(path)).execute({})
    assert (summary["submitted"], summary["rejected"]) == (450, 50)
    rejects = [json.loads(line) for line in path.read_text().splitlines()]
    assert {reject["row_number"]: reject["row"] for reject in rejects} == bad
    for reject in rejects:
        why = "score: 101 is not a number from 0 to 100" if reject["row_number"] % 20 else "404 Not Found"
        assert why in reject["reason"]
    zelto_rows = [row for number, row in enumerate(rows, 1) if number not in bad]
    unknown = [row["external_id"] for row in rows_sent(zelto, 404)]
    assert sorted(unknown) == sorted(row["external_id"] for number, row in bad.items() if number % 20 == 0)
    assert {row["external_id"] for row in rows_sent(zelto)} == {row["external_id"] for row in zelto_rows}


@pytest.fixture
def restarted(local_zelto, connect):
    """An emulator that can go down and come up again at the same address."""
    local_zelto.reset()
    connect(local_zelto.url, extra={"timeout": 0.5})
    return local_zelto


def go_down(zelto, after_requests, seconds):
    """Have the emulator go down once it got so many requests, for some seconds."""

    def restart():
        while len(zelto.journal()) < after_requests:
            sleep(0.01)
        zelto.stop()
        sleep(seconds)
        zelto.start()

    thread = Thread(target=restart)
    thread.start()
    return thread


def no_row_is_lost(zelto, count, *, after_requests, seconds):
    rows = make_rows(calls(zelto), count)
    thread = go_down(zelto, after_requests, seconds)
    summary = bulk(rows, concurrency=8).execute({})
    thread.join()
    assert summary["submitted"] == count
    assert summary["seconds"] > seconds
    judge(zelto, rows)


@pytest.mark.usefixtures("transport")
def test_an_api_that_is_down_for_a_while_costs_no_row(restarted):
    no_row_is_lost(restarted, 300, after_requests=100, seconds=1.5)


def test_an_api_that_is_down_for_20_seconds_costs_no_row(restarted):
    no_row_is_lost(restarted, 200, after_requests=50, seconds=20)


@pytest.fixture
def worker(tmp_path, zelto):
    """Start a worker process that submits a file; its progress survives it."""
    state = tmp_path / "state.json"
    processes = []

    def start(rows):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        command = [sys.executable, "-m", "tests.faults.worker", str(path), str(state)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, cwd=ROOT, **pipes)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_for_requests(zelto, count, process):
    deadline = monotonic() + 60
    while not zelto.journal(since=count - 1, limit=1):
        assert process.poll() is None, process.communicate()
        assert monotonic() < deadline
        sleep(0.02)


def test_workers_that_are_killed_or_ended_leave_the_next_one_what_they_did_not_do(zelto, worker):
    rows = make_rows(calls(zelto), 900)
    zelto.settings(latency=0.02)
    killed = worker(rows)
    wait_for_requests(zelto, 300, killed)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()

    ended = worker(rows)
    wait_for_requests(zelto, 600, ended)
    os.kill(ended.pid, signal.SIGTERM)
    _, errors = ended.communicate(timeout=60)
    assert ended.returncode == 1
    assert "BatchStoppedError: Stopped from outside: " in errors
    stored = submits(zelto)
    # What was under way was finished, and none of it is sent again.
    assert len(stored) == len(submits(zelto, None)) < 900
    before = {entry["body"]["externalId"] for entry in stored}

    zelto.settings(latency=0)
    output, errors = (last := worker(rows)).communicate(timeout=60)
    assert last.returncode == 0, errors
    summary = json.loads(output.splitlines()[-1])
    assert summary["resumed"] == len(before)
    assert summary["submitted"] == len(submits(zelto)) - len(stored) == 900 - len(before)
    judge(zelto, rows, tries=3)
