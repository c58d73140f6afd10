from __future__ import annotations

import json
import logging
import re
import signal
import threading
import time
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from airflow_provider_zelto import batch_run, checkpoint
from airflow_provider_zelto.checkpoint import Checkpoint
from airflow_provider_zelto.exceptions import (
    AuthenticationError,
    BatchStoppedError,
    InvalidMetricError,
    PermissionDeniedError,
    TooManyRejectsError,
)
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.rows import BrokenRow
from airflow_provider_zelto.submission import Submission, SubmissionOptions
from tests.batches import StateStore, judge, make_rows, submits

NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def zelto(emulator):
    emulator.calls = [emulator.add_conversation() for _ in range(10)]
    return emulator


@pytest.fixture
def often(monkeypatch):
    """Report progress, and keep it, many times a second."""
    monkeypatch.setattr(batch_run, "SECONDS_BETWEEN_REPORTS", 0.05)


def make_run(store=None, *, total=None, settings=None, scope="zelto_default", **options):
    return Submission(
        SubmissionOptions.check(options),
        settings=settings or ZeltoHook().get_settings,
        checkpoint=Checkpoint(store, scope),
        log=logging.getLogger("task"),
        total=total,
    )


def submit(rows, store=None, **options):
    return make_run(store, **options).submit(lambda: rows)


def counts(summary):
    return summary["submitted"], summary["rejected"], summary["resumed"]


def messages(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "task"]


def test_the_log_says_every_few_seconds_how_far_it_is(zelto, often, caplog):
    caplog.set_level("INFO")
    zelto.settings(latency=0.05)
    submit(make_rows(zelto.calls, 60), total=60, concurrency=4)
    *so_far, end = messages(caplog)
    pattern = r"So far: (\d+) submitted, 0 rejected, (\d+) rows/s, (\d+) s left of 60 rows\."
    found = [match for line in so_far if (match := re.fullmatch(pattern, line))]
    assert len(found) >= 3
    assert [int(match[1]) for match in found] == sorted(int(match[1]) for match in found)
    assert all(0 < int(match[2]) < 100 for match in found[-2:])
    assert re.fullmatch(r"All rows are dealt with: 60 submitted, 0 rejected, \d+ rows/s\.", end)


def test_the_log_tells_of_repeated_requests_and_says_no_time_left_without_a_total(zelto, often, caplog):
    caplog.set_level("INFO")
    zelto.settings(latency=0.05)
    zelto.fault(status=503, count=3)
    submit(make_rows(zelto.calls, 60), concurrency=4)
    assert not [line for line in messages(caplog) if "left of" in line]
    assert "All rows are dealt with: 60 submitted, 0 rejected, 3 requests repeated, " in messages(caplog)[-1]


def test_the_connection_is_read_once_in_the_main_thread(zelto, mocker):
    read = mocker.Mock(side_effect=lambda: (threads.append(threading.current_thread()), settings)[1])
    threads, settings = [], ZeltoHook().get_settings()
    submit(make_rows(zelto.calls, 50), settings=read)
    assert threads == [threading.main_thread()]


@pytest.mark.parametrize("max_rejects", [3, 4, None])
def test_rejected_rows_are_counted_and_written_down_and_the_others_submitted(zelto, tmp_path, max_rejects):
    rows = make_rows(zelto.calls, 30)
    good = [row for number, row in enumerate(rows, 1) if number not in (5, 10, 15)]
    rows[4] = {**rows[4], "score": 101, "verdict": "maybe"}
    rows[9] = {**rows[9], "conversation_id": NOWHERE}
    rows[14] = BrokenRow('{"label": ', "not JSON: cut off")
    path = tmp_path / "rejects.jsonl"
    summary = submit(rows, max_rejects=max_rejects, rejects_path=str(path))
    assert counts(summary) == (27, 3, 0)
    judge(zelto, good, rejected=[rows[9]])
    rejects = {reject.pop("row_number"): reject for reject in map(json.loads, path.read_text().splitlines())}
    assert {number: reject["row"] for number, reject in rejects.items()} == {
        5: rows[4],
        10: rows[9],
        15: '{"label": ',
    }
    assert (
        rejects[5]["reason"]
        == "verdict: 'maybe' is not 'pass' or 'fail'; score: 101 is not a number from 0 to 100"
    )
    assert rejects[10]["reason"].startswith("Zelto answered 404 Not Found to POST /v1/conversations/")
    assert rejects[15]["reason"] == "not JSON: cut off"


@pytest.mark.parametrize(("max_rejects", "bad"), [(0, 1), (2, 3), (0, 8)])
def test_more_rejects_than_allowed_fail_the_task_and_the_message_says_which(
    zelto, tmp_path, max_rejects, bad
):
    rows = [{"label": "Tone", "conversation_id": "x", "score": 1}] * bad + make_rows(zelto.calls, 20)
    path = str(tmp_path / "rejects.jsonl")
    with pytest.raises(TooManyRejectsError) as caught:
        submit(rows, max_rejects=max_rejects, rejects_path=path)
    rejected = max_rejects + 1  # then it stops
    shown = "; ".join(
        f"row {number}: conversation_id: 'x' is not a UUID" for number in range(1, min(rejected, 5) + 1)
    )
    assert re.sub(r"\d+ rows/s", "N rows/s", str(caught.value)) == (
        f"{rejected} rows were rejected and max_rejects is {max_rejects} (0 submitted, {rejected} rejected, "
        f"N rows/s). {shown}. All of them are in {path}."
    )
    assert submits(zelto, None) == []


def test_the_message_shows_the_first_five_rejects_and_how_to_have_them_all(zelto):
    rows = [{"conversation_id": NOWHERE, "label": "Tone", "score": 1}] * 20
    with pytest.raises(TooManyRejectsError) as caught:
        submit(rows, max_rejects=10, concurrency=1)
    assert re.findall(r"row (\d+): Zelto answered 404", str(caught.value)) == ["1", "2", "3", "4", "5"]
    assert str(caught.value).endswith("Set rejects_path to have all of them in a file.")


def test_past_the_limit_nothing_more_is_read_or_sent(zelto):
    read = []

    def rows():
        for number, row in enumerate(make_rows(zelto.calls, 5000), 1):
            read.append(number)
            yield row if number < 100 else {}

    with pytest.raises(TooManyRejectsError, match="1 rows were rejected"):
        submit(rows())
    assert len(submits(zelto)) == 99
    assert len(read) <= 1500


def test_refused_rows_stop_the_batch_past_the_limit(zelto):
    rows = make_rows([NOWHERE], 5000)
    with pytest.raises(TooManyRejectsError):
        submit(rows, concurrency=4)
    assert len(submits(zelto, None)) <= 8


def test_the_rejects_file_is_emptied_when_there_are_none(zelto, tmp_path):
    path = tmp_path / "rejects.jsonl"
    path.write_text("of the run before")
    submit(make_rows(zelto.calls, 5), rejects_path=str(path))
    assert path.read_text() == ""


def test_the_rejects_file_is_written_when_the_batch_fails_too(zelto, tmp_path):
    path = tmp_path / "rejects.jsonl"
    rows = [{}, *make_rows(zelto.calls, 50)]
    zelto.fault(status=401)
    with pytest.raises(AuthenticationError):
        submit(rows, rejects_path=str(path), max_rejects=None)
    assert json.loads(path.read_text())["row_number"] == 1


def test_a_rejects_file_that_cannot_be_written_is_noticed_before_anything_is_sent(zelto, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        submit(make_rows(zelto.calls, 5), rejects_path=str(tmp_path / "file" / "rejects.jsonl"))
    assert submits(zelto, None) == []


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)])
def test_a_refused_key_stops_at_once(zelto, status, error):
    zelto.fault(status=status)
    with pytest.raises(error):
        submit(make_rows(zelto.calls, 2000), concurrency=8, max_rejects=None)
    assert len(submits(zelto, None)) <= 8


def test_rows_may_come_from_anything_that_gives_an_iterator(zelto):
    rows = make_rows(zelto.calls, 20)
    assert counts(make_run().submit(lambda: iter(tuple(rows)))) == (20, 0, 0)
    judge(zelto, rows)


def test_an_unreadable_source_fails_the_task_with_its_own_error(zelto):
    def unreadable():
        yield from make_rows(zelto.calls, 600)
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        make_run().submit(unreadable)


def stop_when(run, condition):
    """Stop a run as soon as something is true."""

    def watch():
        while not condition():
            time.sleep(0.005)
        run.stop()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_stop_finishes_what_is_under_way_and_fails_the_task_for_a_retry(zelto):
    zelto.settings(latency=0.02)
    run = make_run(concurrency=4)
    rows = make_rows(zelto.calls, 1000)
    thread = stop_when(run, lambda: run.done >= 30)
    with pytest.raises(BatchStoppedError, match=r"Stopped from outside: \d+ submitted, 0 rejected"):
        run.submit(lambda: rows)
    thread.join()
    assert 30 <= run.done == len(submits(zelto)) == len(submits(zelto, None)) < 100


def test_a_stop_before_the_start_sends_nothing(zelto):
    run = make_run()
    run.stop()
    with pytest.raises(BatchStoppedError):
        run.submit(lambda: make_rows(zelto.calls, 100))
    assert submits(zelto, None) == []


def test_a_stop_after_the_end_does_no_harm(zelto):
    run = make_run()
    run.submit(lambda: make_rows(zelto.calls, 5))
    run.stop()


def test_a_stop_ends_a_dry_run_too():
    run = make_run(dry_run=True)

    def endless():
        while True:
            yield {"conversation_id": NOWHERE, "label": "Tone", "score": 1}

    thread = stop_when(run, lambda: run.done > 100)
    with pytest.raises(BatchStoppedError):
        run.submit(endless)
    thread.join()


class TimeIsUpError(Exception):
    pass


def test_what_a_signal_raises_stops_the_batch_and_keeps_its_progress(zelto):
    def time_is_up(number, frame):
        raise TimeIsUpError

    zelto.settings(latency=0.02)
    store, rows = StateStore(), make_rows(zelto.calls, 1000)
    before = signal.signal(signal.SIGALRM, time_is_up)
    signal.setitimer(signal.ITIMER_REAL, 0.7)
    try:
        with pytest.raises(TimeIsUpError):
            submit(rows, store, concurrency=4)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    sent = len(submits(zelto))
    assert store.get("zelto_batch")["rows"] == sent < 1000
    time.sleep(0.1)
    assert len(submits(zelto)) == sent


def break_off(zelto, store, rows, after, **options):
    """Run a try that a refused key breaks off after some rows."""
    zelto.fault(status=401, path=rows[after]["conversation_id"])
    with pytest.raises(AuthenticationError):
        submit(rows, store, **options)
    zelto.clear_faults()


def rows_of_own_calls(zelto, count):
    return make_rows([zelto.add_conversation() for _ in range(count)], count)


def test_a_retry_goes_on_where_the_last_try_stopped(zelto, caplog):
    caplog.set_level("INFO")
    store, rows = StateStore(), rows_of_own_calls(zelto, 200)
    break_off(zelto, store, rows, after=120, concurrency=1)
    first = len(submits(zelto))
    summary = submit(rows, store)
    assert counts(summary) == (80, 0, 120)
    assert len(submits(zelto)) == first + 80
    assert "80 submitted, 0 rejected, 120 dealt with in an earlier try" in messages(caplog)[-1]
    judge(zelto, rows)


def test_rows_that_were_rejected_in_an_earlier_try_are_rejected_again_without_asking(zelto, tmp_path):
    store, rows = StateStore(), rows_of_own_calls(zelto, 100)
    rows[3] = {**rows[3], "conversation_id": NOWHERE}
    rows[6] = {**rows[6], "score": None, "verdict": None}
    path = tmp_path / "rejects.jsonl"
    options = {"max_rejects": 2, "rejects_path": str(path)}
    break_off(zelto, store, rows, after=50, concurrency=1, **options)
    rejects = path.read_text()
    assert counts(submit(rows, store, **options)) == (50, 2, 48)
    assert sorted(path.read_text().splitlines()) == sorted(rejects.splitlines())
    assert len(submits(zelto, 404)) == 1


def test_rows_that_have_changed_since_are_all_sent_again(zelto, caplog):
    store, rows = StateStore(), rows_of_own_calls(zelto, 100)
    break_off(zelto, store, rows, after=50, concurrency=1)
    rows[0] = {**rows[0], "note": "corrected", "external_id": "corrected"}
    zelto.reset()
    for row in rows:
        zelto.add_conversation(row["conversation_id"])
    assert counts(submit(rows, store)) == (100, 0, 0)
    assert "The rows are not those of the earlier try: beginning again with the first." in messages(caplog)
    judge(zelto, rows)


def test_fewer_rows_than_were_dealt_with_are_all_sent_again(zelto):
    store, rows = StateStore(), rows_of_own_calls(zelto, 100)
    break_off(zelto, store, rows, after=50, concurrency=1)
    assert counts(submit(rows[:40], store)) == (40, 0, 0)


def test_rejects_are_not_counted_twice_when_it_begins_again(zelto, tmp_path):
    store, rows = StateStore(), rows_of_own_calls(zelto, 100)
    rows[2] = {}
    break_off(zelto, store, rows, after=50, concurrency=1, max_rejects=1)
    rows[0] = {**rows[0], "score": 7}
    path = tmp_path / "rejects.jsonl"
    assert counts(submit(rows, store, max_rejects=1, rejects_path=str(path))) == (99, 1, 0)
    assert len(path.read_text().splitlines()) == 1


def test_progress_of_another_connection_is_left_alone(zelto):
    store, rows = StateStore(), rows_of_own_calls(zelto, 100)
    break_off(zelto, store, rows, after=50, concurrency=1)
    assert counts(submit(rows, store, scope="zelto_other")) == (100, 0, 0)


def test_progress_is_kept_while_the_batch_runs(zelto, often):
    zelto.settings(latency=0.02)
    store, rows = StateStore(), make_rows(zelto.calls, 200)
    seen = []
    run = make_run(store, concurrency=4)
    thread = threading.Thread(
        target=lambda: [(seen.append(store.get("zelto_batch")), time.sleep(0.02)) for _ in range(50)]
    )
    thread.start()
    run.submit(lambda: rows)
    thread.join()
    numbers = [kept["rows"] for kept in seen if kept]
    assert len(set(numbers)) >= 3
    assert numbers == sorted(numbers)


def test_success_forgets_the_progress(zelto):
    store, rows = StateStore(), rows_of_own_calls(zelto, 20)
    break_off(zelto, store, rows, after=10, concurrency=1)
    assert store
    submit(rows, store)
    assert store == {}


def test_after_too_many_rejects_a_person_may_mend_what_was_refused_and_run_it_again(zelto):
    store, rows = StateStore(), rows_of_own_calls(zelto, 100)
    rows[60] = {**rows[60], "conversation_id": NOWHERE}
    with pytest.raises(TooManyRejectsError):
        submit(rows, store, concurrency=1)
    zelto.add_conversation(NOWHERE)
    assert counts(submit(rows, store)) == (100, 0, 0)
    judge(zelto, rows, tries=2)


def test_reading_pauses_while_too_many_rows_wait_for_an_earlier_one(zelto, monkeypatch):
    monkeypatch.setattr(checkpoint, "_MOST_ROWS_AHEAD", 20)
    rows = rows_of_own_calls(zelto, 100)
    zelto.fault(delay=1, path=rows[9]["conversation_id"], count=1)
    assert counts(submit(rows, StateStore(), concurrency=4)) == (100, 0, 0)
    times = [datetime.fromisoformat(entry["at"]) for entry in submits(zelto)]
    assert max(later - earlier for earlier, later in pairwise(times)) > timedelta(seconds=0.5)
    judge(zelto, rows)


def test_a_batch_that_waits_for_a_row_can_be_stopped(zelto, monkeypatch, connect):
    connect(zelto.url, extra={"timeout": 0.3})
    monkeypatch.setattr(checkpoint, "_MOST_ROWS_AHEAD", 20)
    rows = rows_of_own_calls(zelto, 200)
    zelto.fault(action="hang", path=rows[5]["conversation_id"])
    run = make_run(StateStore(), concurrency=4)
    thread = stop_when(run, lambda: run.done >= 20)
    began = time.monotonic()
    with pytest.raises(BatchStoppedError):
        run.submit(lambda: rows)
    thread.join()
    assert time.monotonic() - began < 10
    assert len(submits(zelto)) < 50


@pytest.mark.parametrize(
    ("option", "value", "limit"),
    [
        ("concurrency", 0, "a whole number from 1 to 256"),
        ("concurrency", 257, "a whole number from 1 to 256"),
        ("concurrency", "16", "a whole number from 1 to 256"),
        ("concurrency", True, "a whole number from 1 to 256"),
        ("max_requests_per_second", 0, "a number above 0"),
        ("max_requests_per_second", float("inf"), "a number above 0"),
        ("max_requests_per_second", "10", "a number above 0"),
        ("max_rejects", -1, "a whole number of at least 0"),
        ("max_rejects", 0.5, "a whole number of at least 0"),
        ("retries", 3, "a known field: concurrency, max_requests_per_second, max_rejects, rejects_path"),
    ],
)
def test_an_option_out_of_its_limits_is_an_error_that_names_it(option, value, limit):
    with pytest.raises(InvalidMetricError) as caught:
        SubmissionOptions.check({option: value})
    [error] = caught.value.errors
    assert (error.field, error.value) == (option, value)
    assert error.limit.startswith(limit)
