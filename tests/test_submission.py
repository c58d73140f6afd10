from __future__ import annotations

import json
import logging
from decimal import Decimal
from uuid import UUID

import pytest

from airflow_provider_zelto.checkpoint import Checkpoint
from airflow_provider_zelto.exceptions import TooManyRejectsError
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.submission import Submission, SubmissionOptions
from tests.batches import judge, make_rows, rows_stored, submits

NOWHERE = "00000000-0000-4000-8000-000000000000"


def unreadable():
    raise AssertionError("a dry run reads no connection")


def submit(rows, *, settings=None, **options):
    submission = Submission(
        SubmissionOptions.check(options),
        settings=settings or ZeltoHook().get_settings,
        checkpoint=Checkpoint(None, "zelto_default"),
        log=logging.getLogger("task"),
    )
    return submission.submit(lambda: rows)


def reasons(row, tmp_path, call):
    """Give the reasons for which a row is rejected, next to one that is not."""
    path = tmp_path / "rejects.jsonl"
    good = {"conversation_id": call, "label": "good", "score": 1}
    submit([good, row], max_rejects=1, rejects_path=str(path))
    return [json.loads(line)["reason"] for line in path.read_text().splitlines()]


def test_the_summary_says_what_became_of_the_rows(emulator, call, tmp_path):
    path = str(tmp_path / "rejects.jsonl")
    rows = [*make_rows([call], 3), {}, *make_rows([NOWHERE], 1)]
    summary = submit(rows, max_rejects=2, rejects_path=path)
    seconds = summary.pop("seconds")
    assert summary == {"submitted": 3, "rejected": 2, "resumed": 0, "rejects_path": path}
    assert 0 < seconds < 60
    assert seconds == round(seconds, 3)
    assert json.loads(json.dumps(summary)) == summary


def test_no_rows_are_a_batch_too(emulator):
    summary = submit([])
    assert (summary["submitted"], summary["rejected"], summary["rejects_path"]) == (0, 0, None)
    assert submits(emulator, None) == []


@pytest.mark.parametrize("concurrency", [1, 3, 64])
def test_of_rows_for_the_same_call_and_label_the_last_wins(emulator, concurrency):
    calls = [emulator.add_conversation() for _ in range(3)]
    rows = make_rows(calls, 120, labels=2)
    emulator.fault(delay=0.03, share=0.3)
    emulator.fault(status=503, share=0.02, seed=1)
    assert submit(rows, concurrency=concurrency)["submitted"] == 120
    judge(emulator, rows)


def test_a_call_is_the_same_however_its_id_is_written(emulator, call):
    spellings = [call, call.upper(), UUID(call), f"{{{call}}}", call.replace("-", ""), f"urn:uuid:{call}"]
    emulator.fault(delay=0.05, share=0.5)
    rows = [
        {"conversation_id": spelling, "label": "Tone", "score": number}
        for number, spelling in enumerate(spellings * 5)
    ]
    submit(rows, concurrency=16)
    assert [entry["body"]["score"] for entry in submits(emulator)] == list(range(30))
    assert [row["score"] for row in rows_stored(emulator)] == [29]


def test_the_names_of_the_api_are_taken_too(emulator, call):
    metric_id = "11111111-2222-4333-8444-555555555555"
    submit([{"conversationId": call, "label": "Tone", "score": 1, "metricId": metric_id, "externalId": "e"}])
    [entry] = submits(emulator)
    assert entry["body"] == {"label": "Tone", "score": 1, "metricId": metric_id, "externalId": "e"}


@pytest.mark.parametrize("score", [0, 100, "0", " 92.5 ", Decimal("99.5"), 12.25])
def test_a_score_may_come_in_any_type_that_holds_a_number(emulator, call, score):
    submit([{"conversation_id": call, "label": "Tone", "score": score}])
    assert [entry["body"]["score"] for entry in submits(emulator)] == [float(score)]


def test_fields_that_are_none_are_not_sent(emulator, call):
    submit([{"conversation_id": call, "label": "Tone", "score": None, "verdict": "pass", "note": None}])
    assert [entry["body"] for entry in submits(emulator)] == [{"label": "Tone", "verdict": "pass"}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": ""}, "label: '' is not text of 1 to 255 characters"),
        ({"label": None}, "label: None is not text of 1 to 255 characters"),
        ({"score": None}, "verdict and score: None is not enough: at least one of the two is needed"),
        ({"score": float("nan")}, "score: nan is not a number from 0 to 100"),
        ({"score": True}, "score: True is not a number from 0 to 100"),
        ({"verdict": "passed"}, "verdict: 'passed' is not 'pass' or 'fail'"),
        ({"conversation_id": "../x"}, "conversation_id: '../x' is not a UUID"),
        (
            {"note": "n" * 5001, "score": -1},
            f"score: -1 is not a number from 0 to 100; note: '{'n' * 59}… (5001 characters) "
            "is not text of at most 5000 characters",
        ),
        (
            {"mark": 1},
            "mark: 1 is not a known field: "
            "conversation_id, label, verdict, score, note, metric_id, external_id",
        ),
    ],
)
def test_a_row_that_breaks_a_limit_is_rejected_with_all_that_is_wrong(tmp_path, call, change, reason):
    row = {"conversation_id": call, "label": "Tone", "score": 1, **change}
    assert reasons(row, tmp_path, call) == [reason]


def test_a_row_without_a_call_is_rejected(tmp_path, call):
    [reason] = reasons({"label": "Tone", "score": 1}, tmp_path, call)
    assert reason == "conversation_id: None is not allowed: it is required"


@pytest.mark.parametrize("first", ["metric_id", "metricId"])
def test_a_field_under_both_its_names_is_rejected(tmp_path, call, first):
    names = {first: NOWHERE, "metric_id": NOWHERE, "metricId": "11111111-2222-4333-8444-555555555555"}
    [reason] = reasons({"conversation_id": call, "label": "Tone", "score": 1, **names}, tmp_path, call)
    assert reason == f"metric_id: {NOWHERE!r} is not allowed beside the same field in camelCase"


@pytest.mark.parametrize("row", [None, 5, "text", ["conversation_id"], [{"label": "Tone"}]])
def test_a_row_that_is_no_mapping_is_rejected(tmp_path, call, row):
    assert reasons(row, tmp_path, call) == [f"{row!r} is not a mapping of columns to values"]


def test_a_long_row_that_is_no_mapping_is_cut_short_in_the_reason(tmp_path, call):
    [reason] = reasons("x" * 10_000, tmp_path, call)
    assert len(reason) < 200


def test_a_dry_run_validates_counts_and_sends_nothing(emulator, call, tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "rejects.jsonl"
    rows = [*make_rows([call, NOWHERE], 10), {"label": "Tone"}]
    summary = submit(rows, settings=unreadable, dry_run=True, max_rejects=1, rejects_path=str(path))
    assert (summary["submitted"], summary["rejected"], summary["resumed"]) == (10, 1, 0)
    assert json.loads(path.read_text())["row_number"] == 11
    assert submits(emulator, None) == []
    assert "All rows are dealt with: 10 valid, 1 rejected, " in caplog.text


def test_a_dry_run_fails_past_the_limit_of_rejects_and_reads_no_further(emulator, call):
    read = []

    def rows():
        for number in range(5000):
            read.append(number)
            yield {}

    with pytest.raises(TooManyRejectsError, match="4 rows were rejected and max_rejects is 3"):
        submit(rows(), settings=unreadable, dry_run=True, max_rejects=3)
    assert len(read) <= 1500
