"""What the transfers from all sources have in common where they carry many calls."""

from __future__ import annotations

import json
import threading
import time

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_zelto.exceptions import (
    AuthenticationError,
    BatchStoppedError,
    InvalidMetricError,
    PermissionDeniedError,
    TooManyRejectsError,
)
from tests.answers import CALL
from tests.conftest import Run
from tests.dags import source_transfers
from tests.sources import LOCAL_SOURCES
from tests.transfers.carrying import csat, evaluations, fill, make_transfer, pair, tone

pytest_plugins = ["tests.source_fixtures"]

TEMPLATE = "{{ params.anything }}"


@pytest.mark.parametrize("rendered", ["[{'a': 'b'}]", "{'a': 'b'}", None, 5])
def test_pairs_that_were_rendered_to_something_else_are_refused(emulator, source, rendered):
    transfer = make_transfer(source, pairs=TEMPLATE)
    transfer.pairs = rendered
    with pytest.raises(InvalidMetricError):
        transfer.execute({})
    assert emulator.journal() == []


def test_the_metrics_of_many_calls_are_carried(carry, emulator, source):
    pairs = fill(emulator, source, 12)
    carried = carry(pairs=pairs, concurrency=4)
    assert carried.pop("seconds") > 0
    assert carried == {
        "submitted": 24,
        "skipped": 0,
        "skipped_because": [],
        "rejected": 0,
        "rejects_path": None,
    }
    for number, one in enumerate(pairs):
        assert evaluations(emulator, one["conversation_id"]) == {
            "CSAT": (25 * (number % 5), None, None),
            "Tone": (None, "pass" if number % 2 else "fail", None),
        }


def test_no_calls_are_carried_to_nothing(carry, emulator, source):
    assert carry(pairs=[])["submitted"] == 0
    assert emulator.journal() == []


def test_many_calls_are_under_way_at_once(carry, emulator, source):
    pairs = fill(emulator, source, 16)
    emulator.settings(latency=0.1)
    started = time.monotonic()
    carry(pairs=pairs, concurrency=16)
    # One after the other they would take 4.8 seconds.
    assert time.monotonic() - started < 2.4


def test_of_two_calls_that_are_one_in_zelto_the_last_wins(carry, emulator, source):
    first, second = fill(emulator, source, 2)
    second["conversation_id"] = first["conversation_id"]
    carried = carry(pairs=[first, second], concurrency=8)
    assert carried["submitted"] == 4
    assert evaluations(emulator, first["conversation_id"])["CSAT"][0] == 25


def test_carrying_many_calls_again_replaces(carry, emulator, source):
    pairs = fill(emulator, source, 3)
    carry(pairs=pairs)
    before = [[metric["id"] for metric in emulator.metrics(one["conversation_id"])] for one in pairs]
    assert carry(pairs=pairs)["submitted"] == 6
    after = [[metric["id"] for metric in emulator.metrics(one["conversation_id"])] for one in pairs]
    assert [sorted(ids) for ids in after] == [sorted(ids) for ids in before]


def test_what_is_skipped_of_many_calls_is_counted_with_the_reasons(carry, emulator, source, logged):
    pairs = fill(emulator, source, 2)
    for _ in range(3):
        source_call = source.add_call()
        source.add(source_call, source.metrics[0], 4)
        reason = source.add_missing(source_call, source.metrics[1])
        pairs.append(pair(source, source_call, emulator.add_conversation()))
    carried = carry(pairs=pairs)
    assert (carried["submitted"], carried["skipped"], carried["rejected"]) == (7, 3, 0)
    reasons = [{"source": source.metrics[1], "label": "Tone", "reason": reason, "calls": 3}]
    assert carried["skipped_because"] == reasons
    warnings = [line.text for line in logged() if line.level == "WARNING"]
    assert warnings == [f"3 metrics had nothing to submit: {reasons}"]


def rejects_in(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_call_that_cannot_be_carried_does_not_hold_up_the_others(carry, emulator, source, tmp_path):
    good = fill(emulator, source, 2)
    without_tone = source.add_call()
    source.add(without_tone, source.metrics[0], 4)
    outside = source.add_call()
    source.add(outside, source.metrics[0], 7)
    source.add(outside, source.metrics[1], "calm")
    known = emulator.add_conversation()
    bad = [
        (pair(source, source.add_call(available_after=3600), known), "404 Not Found"),
        (pair(source, without_tone, known), f"There is no metric '{source.metrics[1]}'"),
        (pair(source, outside, known), "is 7, outside its score_range"),
        (pair(source, source.bad_id, "x"), f"{source.transfer_id}: "),
        (pair(source, outside, None), "conversation_id: None is not a UUID"),
        ({**pair(source, outside, known), "agent": "a"}, "agent: 'a' is not a known field"),
        ({source.transfer_id: outside}, "conversation_id: None is not allowed: it is required"),
        ("x", "pair: 'x' is not a dict"),
        (None, "pair: None is not a dict"),
    ]
    path = tmp_path / "rejects.jsonl"
    carried = carry(
        pairs=[good[0], *(one for one, _ in bad), good[1]],
        max_rejects=None,
        rejects_path=str(path),
        concurrency=3,
    )
    assert (carried["submitted"], carried["rejected"]) == (4, len(bad))
    assert carried["rejects_path"] == str(path)
    rejects = rejects_in(path)
    assert [(reject["row_number"], reject["row"]) for reject in rejects] == [
        (number, one) for number, (one, _) in enumerate(bad, start=2)
    ]
    for reject, (_, words) in zip(rejects, bad, strict=True):
        assert words in reject["reason"]
    assert evaluations(emulator, known) == {}


def test_a_call_that_zelto_refuses_is_rejected_once_for_all_its_metrics(carry, emulator, source, tmp_path):
    good, refused = fill(emulator, source, 2)
    refused["conversation_id"] = CALL
    path = tmp_path / "rejects.jsonl"
    carried = carry(pairs=[refused, good], max_rejects=1, rejects_path=str(path))
    assert (carried["submitted"], carried["rejected"]) == (2, 1)
    (reject,) = rejects_in(path)
    assert (reject["row_number"], reject["row"]) == (1, refused)
    assert "Zelto answered 404 Not Found" in reject["reason"]


def test_more_rejected_calls_than_allowed_fail_the_task_for_good(carry, emulator, source):
    good, *others = fill(emulator, source, 4)
    bad = [{**other, "conversation_id": "x"} for other in others]
    assert carry(pairs=[good, *bad], max_rejects=3)["rejected"] == 3
    with pytest.raises(TooManyRejectsError, match="3 rows were rejected and max_rejects is 2") as caught:
        carry(pairs=[good, *bad], max_rejects=2)
    assert "row 2: conversation_id: 'x' is not a UUID" in str(caught.value)
    assert isinstance(caught.value, AirflowFailException)


def test_after_too_many_rejects_no_more_calls_are_asked_for(carry, emulator, source):
    pairs = [pair(source, source.add_call(available_after=3600)) for _ in range(60)]
    with pytest.raises(TooManyRejectsError, match="1 rows were rejected"):
        carry(pairs=pairs, concurrency=4)
    assert len(emulator.journal()) < 15


@pytest.mark.parametrize("service", ["source", "zelto"])
@pytest.mark.parametrize(
    ("status", "error_class"), [(401, AuthenticationError), (403, PermissionDeniedError)]
)
def test_a_refused_key_stops_many_calls_at_once(carry, emulator, source, service, status, error_class):
    pairs = fill(emulator, source, 30)
    emulator.fault(status=status, service=source.name if service == "source" else "zelto")
    with pytest.raises(error_class) as caught:
        carry(pairs=pairs, concurrency=2, max_rejects=None)
    assert caught.value.service == (source.title if service == "source" else "Zelto")
    assert len(emulator.journal()) < 20


def test_passing_failures_of_the_source_are_repeated(carry, emulator, source):
    pairs = fill(emulator, source, 5)
    emulator.fault(status=503, service=source.name, every=2)
    assert carry(pairs=pairs)["submitted"] == 10
    statuses = [entry["status"] for entry in emulator.journal(service=source.name)]
    assert (statuses.count(200), statuses.count(503)) == (5, 4)


def test_many_calls_that_are_stopped_from_outside_stop_soon(emulator, source):
    pairs = fill(emulator, source, 40)
    emulator.settings(latency=0.05)
    transfer = make_transfer(source, pairs=pairs, concurrency=2)
    stop = threading.Timer(0.3, transfer.on_kill)
    stop.start()
    with pytest.raises(BatchStoppedError):
        transfer.execute({})
    stop.join()
    assert 0 < len(emulator.journal()) < 80


@pytest.fixture(scope="module")
def run(airflow_db, local_zelto):
    """One run of the DAG that gives pairs in every way."""
    local_zelto.reset()
    sources = {name: local(local_zelto) for name, local in LOCAL_SOURCES.items()}
    pairs = {name: fill(local_zelto, source, 2) for name, source in sources.items()}
    mappings = {name: [csat(source, score_range=[1, 5]), tone(source)] for name, source in sources.items()}
    with pytest.MonkeyPatch.context() as environment:
        for name in ("zelto", *sources):
            environment.setenv(f"AIRFLOW_CONN_{name.upper()}_DEFAULT", local_zelto.connection_json(name))
        finished = Run(source_transfers.dag.test(run_conf={**pairs, "mappings": mappings}))
    finished.stored = {
        name: [local_zelto.metrics(one["conversation_id"]) for one in pairs[name]] for name in pairs
    }
    return finished


@pytest.mark.parametrize(
    ("name", "way"),
    [("coval", "of_an_xcom"), ("roark", "of_a_template"), ("roark", "of_mapped_tasks")],
)
def test_pairs_may_be_an_xcom_a_template_or_the_xcoms_of_mapped_tasks(run, name, way):
    assert run.states[way] == "success"
    carried = run.xcom(way)
    assert (carried["submitted"], carried["rejected"]) == (4, 0)
    assert [sorted(metric["label"] for metric in metrics) for metrics in run.stored[name]] == [
        ["CSAT", "Tone"]
    ] * 2


def test_a_transfer_may_be_mapped_over_pairs(run):
    for number in (0, 1):
        carried = run.xcom("mapped", map_index=number)
        assert [metric["label"] for metric in carried["submitted"]] == ["CSAT", "Tone"]
        assert {metric["conversationId"] for metric in carried["submitted"]} == {
            metric["conversationId"] for metric in run.stored["coval"][number]
        }
