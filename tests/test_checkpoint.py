from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_zelto import checkpoint
from airflow_provider_zelto.checkpoint import Checkpoint, SourceChangedError
from tests.batches import StateStore

ROWS = [{"label": f"row {number}", "score": number} for number in range(1, 301)]


@pytest.fixture
def store():
    return StateStore()


def run_try(store, rows=ROWS, *, done=(), refused=(), scope="zelto_default", save=True):
    """Read all rows and have some of those done that are new; give the numbers of the rows skipped."""
    progress = Checkpoint(store, scope)
    skipped = [number for number, row in enumerate(rows, 1) if progress.read(number, row)]
    progress.end(len(rows))
    for number in skipped:
        progress.done(number)
    for number in done:
        progress.done(number, "refused" if number in refused else None)
    if save:
        progress.save()
    return skipped


def up_to(number):
    return list(range(1, number + 1))


def test_a_first_try_skips_nothing(store):
    assert run_try(store) == []


def test_a_retry_skips_exactly_what_was_dealt_with(store):
    run_try(store, done=up_to(120))
    assert run_try(store) == up_to(120)


def test_progress_adds_up_over_tries(store):
    for done in (50, 51, 200, 300):
        skipped = run_try(store)
        run_try(store, done=range(len(skipped) + 1, done + 1))
        assert run_try(store) == up_to(done)


@given(st.sets(st.integers(1, 60)), st.randoms(use_true_random=False))
def test_a_row_that_is_missing_is_never_skipped_nor_what_comes_after_it(done, chance):
    store = StateStore()
    run_try(store, ROWS[:60], done=chance.sample(sorted(done), len(done)))
    first_missing = next(number for number in range(1, 62) if number not in done)
    assert run_try(store, ROWS[:60]) == up_to(first_missing - 1)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ([{"label": "new"}, *ROWS], "a row more in front"),
        (ROWS[1:], "a row less in front"),
        ([ROWS[1], ROWS[0], *ROWS[2:]], "another order"),
        ([*ROWS[:99], {**ROWS[99], "score": 0}, *ROWS[100:]], "another value in the last row dealt with"),
        ([{**ROWS[0], "score": 1.0}, *ROWS[1:]], "another type in the first row"),
        (ROWS[:99], "a row less than was dealt with"),
        ([], "nothing left"),
    ],
)
def test_rows_that_are_not_those_of_the_earlier_try_are_noticed(store, changed, why):
    run_try(store, done=up_to(100))
    with pytest.raises(SourceChangedError):
        run_try(store, changed)


@pytest.mark.parametrize("changed", [ROWS[:100], [*ROWS[:100], {"label": "new"}], [*ROWS, {"label": "new"}]])
def test_rows_may_change_after_those_that_were_dealt_with(store, changed):
    run_try(store, done=up_to(100))
    assert run_try(store, changed) == up_to(100)


def test_a_changed_row_is_noticed_before_a_new_one_is_read(store):
    run_try(store, done=up_to(100))
    progress = Checkpoint(store, "zelto_default")
    for number, row in enumerate(ROWS[1:100], 1):
        assert progress.read(number, row)
    with pytest.raises(SourceChangedError):
        progress.read(100, ROWS[100])


def test_after_starting_over_nothing_is_skipped_and_new_progress_counts(store):
    run_try(store, done=up_to(100))
    progress = Checkpoint(store, "zelto_default")
    progress.start_over()
    assert not any(progress.read(number, row) for number, row in enumerate(ROWS[5:50], 1))
    for number in up_to(20):
        progress.done(number)
    progress.save()
    assert run_try(store, ROWS[5:50]) == up_to(20)


def test_another_connection_begins_again(store):
    run_try(store, done=up_to(100), scope="zelto_default")
    assert run_try(store, scope="zelto_other") == []


@pytest.mark.parametrize("kept", ["text", 5, [], {}, {"scope": "another"}])
def test_what_is_no_progress_is_left_out_of_account(store, kept):
    store.set("zelto_batch", kept)
    assert run_try(store) == []


def test_a_refusal_is_remembered_with_its_reason(store):
    progress = Checkpoint(store, "zelto_default")
    for number in up_to(10):
        progress.read(number, ROWS[number - 1])
        progress.done(number, "404: no such call" if number == 4 else None)
    progress.save()
    retry = Checkpoint(store, "zelto_default")
    assert [retry.refusal(number) for number in (3, 4, 5)] == [None, "404: no such call", None]


def test_a_refusal_of_a_row_that_is_sent_again_is_forgotten(store):
    run_try(store, done=[1, 2, 5], refused=[5])
    assert Checkpoint(store, "zelto_default").refusal(5) is None


def test_refusals_outlast_further_tries(store):
    run_try(store, done=up_to(10), refused=[4])
    run_try(store, done=range(11, 21), refused=[15])
    retry = Checkpoint(store, "zelto_default")
    assert [number for number in up_to(20) if retry.refusal(number)] == [4, 15]


def test_many_refusals_end_the_progress_that_is_kept_safely(store):
    run_try(store, done=up_to(250), refused=range(1, 251, 2))
    skipped = run_try(store)
    # Row 201 would have been the 101st refusal.
    assert skipped == up_to(200)
    retry = Checkpoint(store, "zelto_default")
    assert [number for number in up_to(250) if retry.refusal(number)] == list(range(1, 201, 2))


def test_after_many_refusals_no_memory_is_used_for_rows_that_are_read(monkeypatch, store):
    monkeypatch.setattr(checkpoint, "_MOST_ROWS_AHEAD", 20)
    progress = Checkpoint(store, "zelto_default")
    for number, row in enumerate(ROWS, 1):
        progress.read(number, row)
        if number > 150:
            progress.done(number, "refused")  # row 1 is still under way
    assert not progress.is_far_ahead


def test_what_is_kept_stays_small(store):
    progress = Checkpoint(store, "zelto_default")
    for number, row in enumerate(ROWS, 1):
        progress.read(number, row)
        progress.done(number, "because " * 10_000 if number <= 100 else None)
    progress.save()
    assert len(store["zelto_batch"]) < 65_535
    assert run_try(store) == up_to(300)


def test_rows_that_wait_for_an_earlier_one_are_counted(monkeypatch):
    monkeypatch.setattr(checkpoint, "_MOST_ROWS_AHEAD", 20)
    progress = Checkpoint(StateStore(), "zelto_default")
    for number, row in enumerate(ROWS[:21], 1):
        assert not progress.is_far_ahead
        progress.read(number, row)
    assert progress.is_far_ahead
    for number in range(2, 22):
        progress.done(number)
    assert progress.is_far_ahead
    progress.done(1)
    assert not progress.is_far_ahead


def test_without_a_store_nothing_is_kept_and_nothing_grows():
    progress = Checkpoint(None, "zelto_default")
    for number, row in enumerate(ROWS, 1):
        assert not progress.read(number, row)
        progress.done(number, "refused")
    progress.save()
    progress.clear()
    assert not progress.is_far_ahead
    assert vars(progress)["_digests_ahead"] == {}
    assert vars(progress)["_done"] == set()


def test_nothing_new_is_not_saved(store, mocker):
    run_try(store, done=up_to(100))
    saved = mocker.spy(store, "set")
    run_try(store)
    run_try(store, done=[150])
    assert not saved.called


def test_clearing_forgets_everything(store):
    run_try(store, done=up_to(100))
    Checkpoint(store, "zelto_default").clear()
    assert store == {}
    assert run_try(store) == []


def test_rows_of_all_kinds_are_recognised(store):
    rows = [
        {"note": "\ud800", "label": "zażółć"},
        {"note": None},
        {"note": b"\x00"},
        ["no", "mapping"],
        5,
        None,
    ]
    run_try(store, rows, done=up_to(6))
    assert run_try(store, rows) == up_to(6)
