"""Every example DAG by way of the REST API, judged by its XComs and by what the services hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_zelto.emulator import Emulator
from tests.e2e.runs import Run, end_of
from tests.live.airflow_home import ROOT
from tests.live.local_airflow import LocalAirflow
from tests.live.processes import wait_until

# A script yields the conf for its DAG and gets the run back when it has ended.
Script = Generator[dict[str, Any], Run, None]

_LATENCY, _SENTIMENT, _OUTCOME = "29BlkepvvX19ebbLDB0y6Q", "mymKvEg6ZA65srXbTX5wSM", "fstokU4ev5UmT8sUBexiwV"
_WATCHED_CALL = "6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21"
_STARTED_BY_EVENTS = {"example_event_driven", "example_event_report"}
_DEFERRED_LONG_ENOUGH_TO_BE_SEEN = 2  # polls without an answer


def example_zelto(zelto: Emulator, _: Path) -> Script:
    call = zelto.add_conversation()
    zelto.fault(method="GET", path=call, status=404, count=_DEFERRED_LONG_ENOUGH_TO_BE_SEEN)
    run = yield {"conversation_id": call}
    assert run.seen["wait"].index("deferred") < run.seen["wait"].index("success")
    assert run.xcom("list") == run.xcom("wait") == [run.xcom("submit")] == zelto.metrics(call)
    assert run.xcom("report") == {"Compliance Check": "pass"}


def example_bulk_submit(zelto: Emulator, folder: Path) -> Script:
    calls = [zelto.add_conversation() for _ in range(3)]
    run = yield {"folder": folder.as_uri(), "conversation_ids": calls}
    assert (run.xcom("from_file")["submitted"], run.xcom("from_list")["submitted"]) == (9, 3)
    assert run.xcom("report").startswith("9 stored, 0 rejected in ")
    for call in calls:
        labels = {metric["label"] for metric in zelto.metrics(call)}
        assert labels == {"Compliance Check", "Consent", "Empathy", "Resolution"}


def example_sharded_submit(zelto: Emulator, folder: Path) -> Script:
    calls = [zelto.add_conversation() for _ in range(3)]
    run = yield {"folder": folder.as_uri(), "conversation_ids": calls, "rows": 60, "shards": 3}
    shards = [run.xcom("submit", number)["submitted"] for number in range(3)]
    assert (shards, run.xcom("count")) == ([20, 20, 20], 60)
    assert {run.instance("submit", number)["pool"] for number in range(3)} == {"zelto"}
    assert [len(zelto.metrics(call)) for call in calls] == [20, 20, 20]


def example_export(zelto: Emulator, folder: Path) -> Script:
    calls = [zelto.add_conversation() for _ in range(3)]
    for call, score in zip(calls, (10, 20, 60), strict=True):
        zelto.add_metric(call, "Compliance Check", score=score)
    run = yield {"folder": folder.as_uri(), "conversation_ids": calls}
    assert (run.xcom("export")["metrics"], run.xcom("mean_score")) == (3, 30)
    written = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert written == [metric for call in calls for metric in zelto.metrics(call)]


def example_sql_to_zelto(zelto: Emulator, _: Path) -> Script:
    run = yield {"lowest_score": 30}
    assert run.xcom("submit_scores")["submitted"] == 2
    assert [
        metric["score"]
        for call in zelto.conversations()
        for metric in call["metrics"]
        if metric.get("note") == "From SQL"
    ] == [40, 80]


def example_roark_to_zelto(zelto: Emulator, _: Path) -> Script:
    call, chat = zelto.add_conversation(), zelto.roark.add_chat()
    zelto.roark.add_metric_value(chat, "customer_satisfaction", 4, value_reasoning="Thanked at the end")
    zelto.roark.add_metric_value(chat, "tone", "friendly", participant_role="agent")
    zelto.roark.add_metric_value(
        chat, "issue_resolved", capture_status="ERROR", error_message="judge timed out"
    )
    zelto.roark.add_metric_value(chat, "interruptions", 2, after=6)
    run = yield {"chat_id": chat, "conversation_id": call}
    assert run.seen["wait"][-1] == "success"
    assert {metric["slug"] for metric in run.xcom("wait")} == {
        "customer_satisfaction",
        "tone",
        "issue_resolved",
        "interruptions",
    }
    assert run.xcom("carry")["submitted"] == zelto.metrics(call)
    assert run.xcom("report")["Issue resolved"] == "skipped: judge timed out"
    assert run.xcom("report").keys() - {"Issue resolved"} == {
        metric["label"] for metric in zelto.metrics(call)
    }


def example_coval_to_zelto(zelto: Emulator, _: Path) -> Script:
    pairs = []
    for number in range(2):
        conversation = zelto.coval.add_conversation()
        zelto.coval.add_metric_output(conversation, 2.0 + number, metric_id=_LATENCY, ready_after=5)
        zelto.coval.add_metric_output(conversation, "positive", metric_id=_SENTIMENT)
        zelto.coval.add_metric_output(conversation, "resolved", metric_id=_OUTCOME)
        pairs.append({"coval_conversation_id": conversation, "conversation_id": zelto.add_conversation()})
    run = yield {"pairs": pairs}
    assert run.xcom("report") == "6 outputs: 6 metrics submitted, 0 skipped, 0 calls rejected"
    for number, pair in enumerate(pairs):
        assert len(run.xcom("wait", number)) == len(run.xcom("list", number)) == 3
        assert {
            metric["label"]: metric.get("score", metric.get("verdict"))
            for metric in zelto.metrics(pair["conversation_id"])
        } == {"Latency": 75 - 25 * number, "Sentiment": "pass", "Outcome": "pass"}


def example_no_worker_wait(zelto: Emulator, _: Path) -> Script:
    call = zelto.add_conversation()
    zelto.fault(method="GET", path=call, status=404, count=_DEFERRED_LONG_ENOUGH_TO_BE_SEEN)
    run = yield {"conversation_id": call}
    assert "deferred" in run.seen["wait"]
    assert not {"queued", "running"} & {*run.seen["wait"]}
    assert run.instance("wait")["pid"] is None
    assert run.xcom("wait") == [run.xcom("submit")] == zelto.metrics(call)
    assert run.xcom("report") == {"Compliance Check": 92}


def example_quality_gate(zelto: Emulator, _: Path) -> Script:
    calls = [zelto.add_conversation() for _ in range(3)]
    for call in calls:
        zelto.add_metric(call, "Compliance Check", score=98, verdict="pass")
    run = yield {"conversation_ids": calls}
    assert [run.xcom("list", number) for number in range(3)] == [zelto.metrics(call) for call in calls]
    assert (run.xcom("gate")["samples"], run.xcom("praise")["samples"]) == (3, 3)
    assert run.xcom("publish") == "published"
    assert run.xcom("report") == "3 metrics; missed: nothing"
    assert run.xcom("send_praise") == "3 calls out of 3 were excellent"


def example_coverage_wait(zelto: Emulator, folder: Path) -> Script:
    calls = [zelto.add_conversation() for _ in range(4)]
    for number, call in enumerate(calls[:3]):
        zelto.add_metric(call, "Compliance Check", score=80)
        zelto.add_metric(call, "CSAT", score=60, after=3 * number)
    run = yield {"folder": folder.as_uri(), "conversation_ids": calls}
    assert {name: run.xcom("evaluated")[name] for name in ("calls", "covered", "missing")} == {
        "calls": 4,
        "covered": 3,
        "missing": [calls[3]],
    }
    assert run.xcom("report") == f"3 of 4 calls, not {calls[3]}: 6 metrics"


def example_taskflow(zelto: Emulator, _: Path) -> Script:
    call = zelto.add_conversation()
    run = yield {"conversation_id": call}
    held = {metric["label"]: metric for metric in zelto.metrics(call)}
    assert len(held) == 6
    assert run.xcom("compliance") == held["Compliance Check"]
    assert run.xcom("manners") == [held["Apology"], held["Caller satisfied"]]
    assert run.xcom("number_of_lines", 0) == held["Number of lines"]
    assert run.xcom("report").startswith("Compliance Check: pass, score 70 (")


def example_event_submit(zelto: Emulator, _: Path) -> Script:
    call = zelto.add_conversation()
    run = yield {"conversation_id": call}
    assert [run.xcom("submit")] == zelto.metrics(call)


def e2e_mapped(zelto: Emulator, _: Path) -> Script:
    calls = [zelto.add_conversation() for _ in range(20)]
    run = yield {"conversation_ids": calls}
    for number, call in enumerate(calls):
        assert [run.xcom("submit", number)] == zelto.metrics(call)
        assert run.xcom("submit", number)["score"] == number


SCRIPTS = {
    script.__name__: script
    for script in (
        example_zelto,
        example_bulk_submit,
        example_sharded_submit,
        example_export,
        example_sql_to_zelto,
        example_roark_to_zelto,
        example_coval_to_zelto,
        example_no_worker_wait,
        example_quality_gate,
        example_coverage_wait,
        example_taskflow,
        example_event_submit,
        e2e_mapped,
    )
}


@pytest.fixture(scope="module")
def ended(trigger: Callable[..., Run], zelto: Emulator, folder: Path) -> dict[str, tuple[Script, Run]]:
    """All the runs, side by side, each with the script that judges it."""
    scripts = {dag_id: script(zelto, folder / dag_id) for dag_id, script in SCRIPTS.items()}
    running = {dag_id: (script, trigger(dag_id, **next(script))) for dag_id, script in scripts.items()}
    end_of([run for _, run in running.values()], timeout=300)
    return running


@pytest.mark.parametrize("dag_id", SCRIPTS)
def test_a_dag_ends_green_and_its_xcoms_are_what_the_services_hold(
    ended: dict[str, tuple[Script, Run]], dag_id: str
) -> None:
    script, run = ended[dag_id]
    assert run.state() == "success", {
        task: (states, run.last_words(task)) for task, states in run.seen.items()
    }
    assert {instance["state"] for instance in run.instances()} == {"success"}
    with pytest.raises(StopIteration):
        script.send(run)


def _started_by_event(airflow: LocalAirflow, dag_id: str) -> Run:
    """Give the first run of a DAG that nobody triggers."""
    airflow.wait_for_dag(dag_id)
    runs = wait_until(
        lambda: airflow.api.ask("GET", f"/dags/{dag_id}/dagRuns?order_by=run_after")["dag_runs"],
        what=f"A run of {dag_id}",
        timeout=120,
    )
    return Run(airflow.api, dag_id, runs[0]["dag_run_id"])


def test_the_submit_of_one_dag_starts_another(
    ended: dict[str, tuple[Script, Run]], airflow: LocalAirflow
) -> None:
    assert ended["example_event_submit"][1].state() == "success"
    run = _started_by_event(airflow, "example_event_report")
    assert run.end() == "success"
    assert run.xcom("report") == ["Compliance Check: fail, score 60"]


def test_a_change_in_zelto_starts_a_dag(
    ended: dict[str, tuple[Script, Run]], airflow: LocalAirflow, zelto: Emulator
) -> None:
    wait_until(
        lambda: zelto.journal(path=_WATCHED_CALL),
        what="The watcher's first look, which nothing can be new to",
        timeout=60,
    )
    zelto.add_conversation(_WATCHED_CALL)
    zelto.add_metric(_WATCHED_CALL, "Human review", verdict="fail")
    run = _started_by_event(airflow, "example_event_driven")
    assert run.end() == "success"
    assert run.xcom("tell") == [f"{_WATCHED_CALL}: fail"]


def test_every_example_is_run(airflow: LocalAirflow) -> None:
    for file in (ROOT / "example_dags").glob("*.py"):
        airflow.wait_for_dag(file.stem)
    dags = airflow.api.ask("GET", "/dags?limit=100")["dags"]
    examples = {dag["dag_id"] for dag in dags if "example" in {tag["name"] for tag in dag["tags"]}}
    assert examples - SCRIPTS.keys() - _STARTED_BY_EVENTS == set(), "these examples have no script here"
