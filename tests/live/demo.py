"""The example DAG on a throwaway Airflow against a local Zelto, told step by step (``make demo``)."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.live.airflow_home import AIRFLOW_VERSION, ROOT, AirflowHome
from tests.live.local_airflow import LocalAirflow, local_airflow
from tests.live.local_emulator import LocalEmulator, local_emulator
from tests.live.processes import LiveError, die_politely, free_port

_DAG = "example_zelto"
_RUN_TIMEOUT = 240.0  # seconds

# Zelto answers the first questions after an upload with 404, which is what the wait is for.
_UNANSWERED_POLLS = 2

_STORY = {
    ("score_call", "success"): "scored",
    ("submit", "success"): "submitted",
    ("wait", "deferred"): "waiting (deferred: in the triggerer, no worker is held)",
    ("wait", "success"): "found",
    ("list", "success"): "listed",
    ("report", "success"): "handed over",
}
_BROKEN = ("failed", "up_for_retry", "upstream_failed")

Say = Callable[[str, str], None]


def main(inspect: Callable[[LocalAirflow, Say], None] | None = None) -> int:
    """
    Run the demo and give its exit status.

    :param inspect: looks at the Airflow after the DAG has run.
    """
    die_politely()
    folder = Path(tempfile.mkdtemp(prefix="zelto-demo-"))
    status = 0
    try:
        _demo(folder, _teller(), inspect)
    except LiveError as error:
        print(f"\ndemo failed: {error}\nLogs are kept in {folder}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        status = 130
    shutil.rmtree(folder)
    return status


def _teller() -> Say:
    start = time.monotonic()

    def say(who: str, what: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {who:<10}  {what}", flush=True)

    return say


def _demo(folder: Path, say: Say, inspect: Callable[[LocalAirflow, Say], None] | None) -> None:
    with local_emulator(folder) as zelto:
        say("zelto", f"a local one answers at {zelto.url}")
        # From the environment, because a triggerer needs seconds for its first look into the database.
        home = AirflowHome(folder / "airflow", free_port(), _dags(folder), zelto.connections)
        say("airflow", f"{AIRFLOW_VERSION} is starting: database, scheduler, triggerer and the rest")
        with local_airflow(home) as airflow:
            say("airflow", f"is up at {home.url}")
            metrics = _score_a_call(airflow, zelto, say)
            print(f"\n{_table(metrics)}\n")
            if inspect:
                inspect(airflow, say)
    say("all", "is cleaned up")


def _dags(folder: Path) -> Path:
    """Make a DAG folder with nothing but the DAG that is shown."""
    dags = folder / "dags"
    dags.mkdir()
    shutil.copy(ROOT / "example_dags" / f"{_DAG}.py", dags)
    return dags


def _score_a_call(airflow: LocalAirflow, zelto: LocalEmulator, say: Say) -> list[dict[str, Any]]:
    """Run the DAG for a new call and give the metrics it lists, compared with what Zelto holds."""
    call_id = zelto.ask("POST", "conversations")["id"]
    zelto.ask("POST", "faults", {"method": "GET", "status": 404, "count": _UNANSWERED_POLLS})
    say("call", call_id)
    run_id = _run(airflow, call_id, say)
    metrics: list[dict[str, Any]] = airflow.api.xcom(_DAG, run_id, "list")
    if metrics != zelto.ask("GET", f"conversations/{call_id}")["metrics"]:
        raise LiveError(f"The DAG listed {metrics}, which is not what Zelto holds.")
    say("report", json.dumps(airflow.api.xcom(_DAG, run_id, "report")))
    return metrics


def _run(airflow: LocalAirflow, call_id: str, say: Say) -> str:
    airflow.wait_for_dag(_DAG)
    run_id = airflow.api.trigger(_DAG, {"conversation_id": call_id})
    told = set()
    for task_id, state in airflow.api.follow(_DAG, run_id, timeout=_RUN_TIMEOUT):
        if state in _BROKEN:
            log = airflow.home.task_log(_DAG, run_id, task_id)
            raise LiveError(f"task {task_id} is {state}. The end of its log:\n{log}")
        if (task_id, state) in _STORY:
            say(task_id, _STORY[task_id, state])
            told.add((task_id, state))
    if missing := _STORY.keys() - told:
        raise LiveError(f"these steps were never seen: {sorted(missing)}")
    return run_id


def _table(metrics: list[dict[str, Any]]) -> str:
    columns = ("label", "verdict", "score", "note", "updatedAt")
    rows = [columns, *([str(metric.get(column, "")) for column in columns] for metric in metrics)]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


if __name__ == "__main__":
    sys.exit(main())
