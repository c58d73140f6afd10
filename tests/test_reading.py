from __future__ import annotations

import logging

import pytest

from airflow_provider_zelto.checkpoint import Checkpoint
from airflow_provider_zelto.exceptions import InvalidMetricError
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.reading import GateOptions, GateReading
from tests.test_coverage import calls as ids_of_calls


@pytest.fixture
def reading(emulator):
    options = GateOptions.check({"conversation_ids": [], "min_score": 1, "max_rejects": None})
    return GateReading(
        options,
        settings=ZeltoHook().get_settings,
        checkpoint=Checkpoint(None, scope="zelto_default"),
        log=logging.getLogger("reading"),
    )


def test_what_a_gate_looks_at_is_kept_and_calls_without_metrics_are_read_too(emulator, reading):
    ids = [emulator.add_conversation() for _ in range(5)]
    for number, call in enumerate(ids[1:]):
        emulator.add_metric(call, "Tone", score=number, verdict="pass", note="long" * 1000)
    samples = reading.read(ids)
    assert sorted((sample.call, sample.label, sample.verdict, sample.score) for sample in samples) == sorted(
        (call, "Tone", "pass", number) for number, call in enumerate(ids[1:])
    )
    assert (reading.done, reading.rejected) == (5, 0)


def test_calls_that_are_not_there_are_counted(emulator, reading):
    assert reading.read(ids_of_calls(3)) == []
    assert (reading.done, reading.rejected) == (0, 3)


def test_one_error_names_what_is_wrong_with_a_gate_and_with_its_reading():
    with pytest.raises(InvalidMetricError) as caught:
        GateOptions.check({"conversation_ids": ["x"], "min_score": 101, "concurrency": 0})
    assert sorted(error.field for error in caught.value.errors) == [
        "concurrency",
        "conversation_ids",
        "min_score",
    ]
