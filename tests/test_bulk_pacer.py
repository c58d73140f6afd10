from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_zelto.bulk import Pacer
from tests.swift_time import now, swiftly

JITTER = 0.1  # seconds at most that a hold is longer than asked


async def starts_of(pacer, count, workers=8):
    """Start so many requests, in a few workers, and give when they started."""
    starts = []

    async def work():
        while len(starts) < count:
            starts.append(None)
            starts[starts.index(None)] = await pacer.turn()

    await asyncio.gather(*(work() for _ in range(workers)))
    return sorted(starts)


@pytest.mark.parametrize("rate", [0.5, 10, 333.3])
@pytest.mark.parametrize("workers", [1, 50])
def test_a_rate_is_held_however_many_workers_there_are(rate, workers):
    starts = swiftly(starts_of(Pacer(rate), 300, workers))
    assert all(later - earlier >= 0.99 / rate for earlier, later in pairwise(starts[1:]))
    assert starts[-1] - starts[0] == pytest.approx(len(starts) / rate, rel=0.05)


def test_without_a_rate_nobody_waits():
    assert set(swiftly(starts_of(Pacer(None), 1000))) == {0}


def test_idle_time_is_not_made_up_for():
    async def scenario():
        pacer = Pacer(100)
        await starts_of(pacer, 100)
        await asyncio.sleep(60)
        began = now()
        return [start for start in await starts_of(pacer, 100) if start < began + 0.5]

    assert len(swiftly(scenario())) <= 0.5 * 100 + 3


def test_a_loop_that_is_late_by_a_blink_does_not_fall_behind():
    async def scenario():
        pacer = Pacer(100)
        for _ in range(100):
            await pacer.turn()
            await asyncio.sleep(0.012)  # longer than a turn takes, shorter than two
        while now() < pacer._next_start + 1:
            await asyncio.sleep(0.012)
        began = now()
        await pacer.turn()
        await pacer.turn()
        return now() - began

    assert swiftly(scenario()) == 0


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 5)), max_size=8), st.sampled_from([None, 20.0, 200.0])
)
def test_nobody_starts_during_a_hold(holds, rate):
    async def scenario():
        pacer = Pacer(rate)
        held = []

        async def service():
            for after, seconds in holds:
                await asyncio.sleep(after)
                pacer.hold(seconds, now())
                held.append((now(), now() + seconds))

        async def work(starts):
            while len(held) < len(holds) or now() <= max((end for _, end in held), default=0):
                starts.append(await pacer.turn())
                await asyncio.sleep(0.05)

        starts = []
        await asyncio.gather(service(), *(work(starts) for _ in range(5)))
        return starts, held

    starts, held = swiftly(scenario())
    assert not [(start, hold) for start in starts for hold in held if hold[0] < start < hold[1]]


def rate_after(scenario, full_rate=100.0):
    """Run a scenario with a pacer and give the rates that are allowed some seconds after it."""

    async def run():
        pacer = Pacer(full_rate)
        await scenario(pacer)
        return lambda seconds: pacer.rate(pacer._held_until + seconds)

    return swiftly(run())


def test_after_a_hold_it_goes_on_slower_and_recovers_bit_by_bit():
    async def one_hold(pacer):
        await starts_of(pacer, 300)
        pacer.hold(2, now())

    rate = rate_after(one_hold)
    assert [round(rate(seconds)) for seconds in (0, 2.5, 5, 1000)] == [75, 88, 100, 100]


def test_a_batch_without_a_limit_slows_down_from_the_rate_it_had():
    async def one_hold(pacer):
        for _ in range(300):
            await pacer.turn()
            await asyncio.sleep(0.005)
        pacer.hold(2, now())

    rate = rate_after(one_hold, None)
    assert rate(0) == pytest.approx(150, rel=0.05)
    assert rate(4.99) == pytest.approx(300, rel=0.05)
    assert rate(5.01) == float("inf")


def test_several_requests_told_to_wait_at_one_moment_count_once():
    async def many_holds(pacer):
        starts = await starts_of(pacer, 300)
        for start in starts[-20:]:
            pacer.hold(2, start)

    assert round(rate_after(many_holds)(0)) == 75


def test_requests_that_were_under_way_before_a_hold_count_once_however_late_they_are_told():
    async def late_holds(pacer):
        starts = await starts_of(pacer, 300)
        for start in starts[-20:]:
            pacer.hold(0.2, start)
            await asyncio.sleep(0.5)

    assert round(rate_after(late_holds)(0)) == 75


def test_a_request_that_started_after_a_hold_counts_again():
    async def two_holds(pacer):
        await starts_of(pacer, 300)
        pacer.hold(2, now())
        pacer.hold(2, await pacer.turn())

    assert rate_after(two_holds)(0) == pytest.approx(0.75 * 0.75 * 100, rel=0.02)


def test_the_longest_of_several_waits_holds():
    async def scenario():
        pacer = Pacer(None)
        started = await pacer.turn()
        for seconds in (2, 7, 3):
            pacer.hold(seconds, started)
        return await pacer.turn()

    assert 7 <= swiftly(scenario()) <= 7 + JITTER


def test_pauses_do_not_count_as_time_in_which_the_service_was_slow():
    async def scenario():
        pacer = Pacer(None)
        for _ in range(200):
            await pacer.turn()
            await asyncio.sleep(0.01)
        pacer.hold(60, now())
        await starts_of(pacer, 10)
        pacer.hold(60, now())
        return pacer.rate(now())

    assert swiftly(scenario()) == pytest.approx(75 * 0.75, rel=0.1)


def test_without_a_word_of_the_service_pauses_double_up_to_half_a_minute():
    async def scenario():
        pacer = Pacer(None)
        pauses = []
        for _ in range(6):
            told = await pacer.turn()
            pacer.hold(None, told)
            pauses.append(await pacer.turn() - told)
        pacer.relax()
        told = await pacer.turn()
        pacer.hold(None, told)
        pauses.append(await pacer.turn() - told)
        return pauses

    pauses = swiftly(scenario())
    for pause, expected in zip(pauses, [2, 4, 8, 16, 30, 30, 2], strict=True):
        # The rate after a slow-down, one a second at least, may add to the pause.
        assert expected <= pause <= expected + JITTER + 1


def test_a_rate_never_falls_below_one_request_a_second():
    async def many_holds(pacer):
        for _ in range(50):
            pacer.hold(0, await pacer.turn())

    assert rate_after(many_holds, None)(0) == 1
