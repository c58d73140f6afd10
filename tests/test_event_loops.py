from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing

import pytest

from airflow_provider_zelto.event_loops import LoopThread, read_ahead


class Source:
    """Rows whose reader leaves traces."""

    def __init__(self, count, broken_at=None):
        self.given = 0
        self.closed = False
        self.threads = set()
        self._count = count
        self._broken_at = broken_at

    def __call__(self):
        self.threads.add(threading.get_ident())
        return self._rows()

    def _rows(self):
        try:
            for number in range(self._count):
                self.threads.add(threading.get_ident())
                if number == self._broken_at:
                    raise OSError("unreadable")
                self.given += 1
                yield number
        finally:
            self.threads.add(threading.get_ident())
            self.closed = True


def read(source, size=10, chunks=None):
    """Read some chunks, or all."""
    got = []

    async def run():
        async with aclosing(read_ahead(source, size)) as reading:
            async for chunk in reading:
                got.append(chunk)
                if chunks is not None and len(got) >= chunks:
                    return

    try:
        asyncio.run(run())
    except OSError as error:
        return got, str(error)
    return got, None


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 95, 100])
def test_a_source_is_read_whole_and_in_order(count):
    source = Source(count)
    chunks, error = read(source)
    assert error is None
    assert [row for chunk in chunks for row in chunk] == list(range(count))
    assert {len(chunk) for chunk in chunks[:-1]} <= {10}
    assert source.closed


def test_one_thread_that_is_not_the_loops_opens_reads_and_closes():
    source = Source(1000)
    read(source, chunks=3)
    assert source.closed
    assert len(source.threads) == 1
    assert source.threads != {threading.get_ident()}


def test_it_reads_one_chunk_ahead_and_no_more():
    source = Source(1000)
    read(source, size=10, chunks=4)
    assert source.given <= 5 * 10


def test_the_loop_goes_on_while_the_source_blocks():
    def slow():
        time.sleep(0.3)
        return iter([1])

    ticks = []

    async def tick():
        while True:
            ticks.append(1)
            await asyncio.sleep(0.01)

    async def run():
        ticker = asyncio.create_task(tick())
        assert [chunk async for chunk in read_ahead(slow)] == [[1]]
        ticker.cancel()

    asyncio.run(run())
    assert len(ticks) >= 10


def test_what_was_read_before_an_error_is_given_first():
    source = Source(100, broken_at=25)
    assert read(source) == ([list(range(10)), list(range(10, 20))], "unreadable")
    assert source.closed


def test_an_error_in_opening_is_raised():
    def missing():
        raise OSError("no such file")

    assert read(missing) == ([], "no such file")


def test_an_error_nobody_waits_for_any_more_is_not_complained_about(caplog):
    read(Source(100, broken_at=15), chunks=1)
    assert "asyncio" not in {record.name for record in caplog.records}


def test_a_list_is_a_source_too():
    assert read(lambda: [1, 2, 3], size=2) == ([[1, 2], [3]], None)


def test_a_coroutine_runs_in_a_thread_of_its_own_and_gives_its_result():
    async def where():
        return threading.get_ident()

    thread = LoopThread(where())
    assert thread.wait(5)
    assert thread.result() != threading.get_ident()


def test_a_wait_that_is_too_short_says_so():
    go_on = threading.Event()

    async def waits():
        await asyncio.to_thread(go_on.wait)
        return "done"

    thread = LoopThread(waits())
    assert not thread.wait(0.01)
    go_on.set()
    assert thread.wait(5)
    assert thread.result() == "done"


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(3), KeyboardInterrupt()])
def test_what_a_coroutine_raises_is_raised_where_its_result_is_asked_for(error):
    async def fails():
        raise error

    thread = LoopThread(fails())
    assert thread.wait(5)
    with pytest.raises(type(error)) as caught:
        thread.result()
    assert caught.value is error
