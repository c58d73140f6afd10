from __future__ import annotations

from example_dags.example_taskflow import example_taskflow


def test_the_example_submits_what_its_functions_return(emulator, call, run_dag):
    run = run_dag(example_taskflow(), conversation_id=call)
    assert run.state == "success"
    assert {*run.states.values()} == {"success"}
    assert {
        metric["label"]: (metric.get("score"), metric.get("verdict")) for metric in emulator.metrics(call)
    } == {
        "Compliance Check": (70, "pass"),
        "Agent's share of words": (72.5, None),
        "Refund offered": (None, "pass"),
        "Apology": (None, "pass"),
        "Caller satisfied": (90, "pass"),
        "Number of lines": (4, None),
    }
    [compliance] = [one for one in emulator.metrics(call) if one["label"] == "Compliance Check"]
    assert compliance["note"] == "missing: anything else"
    assert run.xcom("compliance") == compliance
    assert run.xcom("report") == f"Compliance Check: pass, score 70 ({compliance['updatedAt']})"
    assert [metric["label"] for metric in run.xcom("manners")] == ["Apology", "Caller satisfied"]
