from __future__ import annotations

import json
import logging
import random

import pytest

from airflow_provider_zelto import export
from airflow_provider_zelto.checkpoint import Checkpoint
from airflow_provider_zelto.exceptions import AuthenticationError, TooManyRejectsError
from airflow_provider_zelto.export import Export, ExportOptions
from airflow_provider_zelto.hooks.zelto import ZeltoHook

NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def calls(emulator):
    """Calls with none, one or two metrics each."""
    made = [emulator.add_conversation() for _ in range(60)]
    for number, call in enumerate(made):
        for label in ("Tone", "Pace")[: number % 3]:
            emulator.add_metric(call, label, score=number)
    return made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "exports" / "metrics.jsonl"


def write(ids, path, **options):
    run = Export(
        ExportOptions.check({"path": str(path), "max_rejects": None, **options}),
        settings=ZeltoHook().get_settings,
        checkpoint=Checkpoint(None, "zelto_default"),
        log=logging.getLogger("task"),
    )
    return run.write(lambda: ids)


def exported(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def metrics_of(emulator, calls, labels=("Pace", "Tone")):
    return [
        metric
        for call in calls
        for metric in sorted(emulator.metrics(call), key=lambda metric: metric["label"])
        if metric["label"] in labels
    ]


@pytest.mark.parametrize("concurrency", [1, 20])
def test_metrics_are_written_as_zelto_has_them_in_the_order_of_the_calls(emulator, calls, path, concurrency):
    emulator.fault(delay=0.05, share=0.3)
    summary = write(calls, path, concurrency=concurrency)
    assert exported(path) == metrics_of(emulator, calls)
    seconds = summary.pop("seconds")
    assert 0 < seconds < 60
    assert summary == {
        "path": str(path),
        "calls": 60,
        "metrics": 60,
        "rejected": 0,
        "first_rejected": [],
        "rejects_path": None,
    }


def test_labels_narrow_an_export(emulator, calls, path):
    summary = write(calls, path, labels=["Tone"])
    assert exported(path) == metrics_of(emulator, calls, ["Tone"])
    assert (summary["calls"], summary["metrics"]) == (60, 40)


def test_calls_that_are_not_there_are_reported_and_the_others_written(emulator, calls, path, tmp_path):
    rejects = tmp_path / "rejects.jsonl"
    ids = [NOWHERE, *calls[:3], "no id", *calls[3:6], None]
    summary = write(ids, path, rejects_path=str(rejects))
    assert exported(path) == metrics_of(emulator, calls[:6])
    assert (summary["calls"], summary["rejected"]) == (6, 3)
    assert sorted(summary["first_rejected"]) == sorted([NOWHERE, "no id", "None"])
    by_row = {reject["row_number"]: reject for reject in exported(rejects)}
    assert {number: reject["row"] for number, reject in by_row.items()} == {1: NOWHERE, 5: "no id", 9: None}
    assert "404 Not Found" in by_row[1]["reason"]
    assert by_row[5]["reason"] == "conversation_id: 'no id' is not a UUID"


def test_the_summary_names_twenty_rejected_calls_at_most(emulator, path):
    summary = write([f"id {number}" for number in range(50)], path)
    assert summary["rejected"] == 50
    assert summary["first_rejected"] == [f"id {number}" for number in range(20)]


def test_more_rejects_than_allowed_leave_the_old_file(emulator, calls, path):
    path.parent.mkdir()
    path.write_text("old")
    with pytest.raises(TooManyRejectsError, match="2 rows were rejected and max_rejects is 1"):
        write([*calls, "no id", "none either"], path, max_rejects=1)
    assert path.read_text() == "old"


def test_an_error_leaves_the_old_file_or_none(emulator, calls, path):
    emulator.fault(status=401, path=calls[40])
    with pytest.raises(AuthenticationError):
        write(calls, path)
    assert not path.exists()
    path.parent.mkdir()
    path.write_text("old")
    with pytest.raises(AuthenticationError):
        write(calls, path)
    assert path.read_text() == "old"


def test_no_calls_give_an_empty_file(emulator, path):
    summary = write([], path)
    assert (summary["calls"], summary["metrics"]) == (0, 0)
    assert path.read_text() == ""


def test_a_call_named_twice_is_written_twice(emulator, calls, path):
    write([calls[1], calls[2], calls[1]], path)
    assert exported(path) == metrics_of(emulator, [calls[1], calls[2], calls[1]])


def test_failures_that_pass_leave_no_gap(emulator, calls, path):
    emulator.fault(status=503, share=0.2)
    emulator.fault(action="cut_body", share=0.1, seed=1)
    write(calls, path)
    assert exported(path) == metrics_of(emulator, calls)


def test_few_answers_wait_for_an_earlier_one_at_any_time(emulator, calls, path, monkeypatch):
    monkeypatch.setattr(export, "_MOST_WAITING", 5)
    emulator.fault(delay=0.7, path=calls[2])
    most = []
    take = Export.take

    def watched(self, job, result):
        take(self, job, result)
        most.append(len(self._waiting))

    monkeypatch.setattr(Export, "take", watched)
    shuffled = random.Random(1).sample(calls, len(calls))
    ids = [calls[2], *shuffled]
    write(ids, path, concurrency=4)
    assert exported(path) == metrics_of(emulator, ids)
    # Four that are under way, one that is read, and up to eight answers that nobody has looked at yet.
    assert 5 <= max(most) <= 5 + 1 + 4 + 8
