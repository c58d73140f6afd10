from __future__ import annotations

import pytest

from tests.answers import CALL
from tests.transfers.carrying import make_transfer, pair


@pytest.fixture
def carry(source):
    """Carry the metrics of one call, or of ``pairs``, and give what goes into XCom."""

    def run(source_id=None, call=CALL, **arguments):
        one = {} if source_id is None else pair(source, source_id, call)
        return make_transfer(source, **{**one, **arguments}).execute({})

    return run


@pytest.fixture
def source_call(source):
    """A call at the source with a value for each metric that the usual mappings name."""
    added = source.add_call()
    source.add(added, source.metrics[0], 4, "Friendly throughout")
    source.add(added, source.metrics[1], "calm")
    return added


@pytest.fixture
def stored(emulator, call):
    """Give the fields of the one metric that the call has in Zelto."""

    def read(*fields):
        (metric,) = emulator.metrics(call)
        return [metric.get(field) for field in fields]

    return read
