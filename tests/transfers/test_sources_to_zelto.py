"""What the transfers from all sources have in common."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_zelto.emulator import Emulator
from airflow_provider_zelto.exceptions import (
    AuthenticationError,
    BadRequestError,
    InvalidMetricError,
    NotFoundError,
    SourceMetricError,
)
from tests.answers import CALL
from tests.sources import LOCAL_SOURCES, host
from tests.transfers.carrying import csat, evaluations, fill, make_transfer, pair, submits, tone

pytest_plugins = ["tests.source_fixtures"]

SOURCE = pytest.mark.parametrize("source", LOCAL_SOURCES.values(), ids=LOCAL_SOURCES)
TEMPLATE = "{{ params.anything }}"


def test_metrics_are_carried_and_given_as_zelto_stored_them(carry, emulator, source, source_call, call):
    carried = carry(source_call, call)
    assert carried == {"submitted": emulator.metrics(call), "skipped": []}
    assert json.loads(json.dumps(carried)) == carried
    assert evaluations(emulator, call) == {
        "CSAT": (75, None, "Friendly throughout"),
        "Tone": (None, "pass", None),
    }
    assert all(metric["externalId"] for metric in carried["submitted"])


def test_metrics_without_a_value_are_skipped_and_named(carry, emulator, source, call, logged):
    source_call = source.add_call()
    source.add(source_call, source.metrics[0], 4)
    reason = source.add_missing(source_call, source.metrics[1])
    carried = carry(source_call, call)
    assert [metric["label"] for metric in carried["submitted"]] == ["CSAT"]
    assert carried["skipped"] == [{"source": source.metrics[1], "label": "Tone", "reason": reason}]
    warnings = [line.text for line in logged() if line.level == "WARNING"]
    assert warnings == [f"Nothing to submit for {source.metrics[1]!r} (label 'Tone'): {reason}."]


def test_a_line_says_how_much_was_carried(carry, source_call, call, logged):
    carry(source_call, call)
    lines = [line for line in logged() if call in line.text]
    assert lines == [("INFO", f"Carried 2 metrics to call {call}.")]


def test_a_call_without_any_values_is_carried_to_nothing(carry, emulator, source, call):
    source_call = source.add_call()
    for metric in source.metrics[:2]:
        source.add_missing(source_call, metric)
    carried = carry(source_call, call)
    assert (carried["submitted"], len(carried["skipped"])) == ([], 2)
    assert submits(emulator) == []


def test_carrying_again_replaces(carry, emulator, source, source_call, call):
    first = carry(source_call, call)
    second = carry(source_call, call)
    assert [metric["id"] for metric in first["submitted"]] == [metric["id"] for metric in second["submitted"]]
    assert emulator.metrics(call) == second["submitted"]


def test_a_try_that_broke_off_half_way_is_made_good_by_the_next(carry, emulator, source, source_call, call):
    emulator.fault(status=400, service="zelto", method="POST", every=2)
    with pytest.raises(BadRequestError):
        carry(source_call, call)
    assert evaluations(emulator, call).keys() == {"CSAT"}
    emulator.clear_faults()
    carry(source_call, call)
    assert evaluations(emulator, call).keys() == {"CSAT", "Tone"}


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (
            {"source": "nothing-like-it"},
            "There is no metric 'nothing-like-it', to be 'Late' in Zelto; found: ",
        ),
        ({"score_range": (0, 1)}, "is 4, outside its score_range (0.0, 1.0)"),
        ({"score_range": None, "pass_when": True}, "is 4, which is not a boolean"),
        ({"score_range": None, "pass_when": {"in": ["calm"]}}, "is 4, which is not text"),
    ],
)
def test_what_cannot_be_mapped_is_told_before_anything_is_submitted(
    carry, emulator, source, source_call, call, rules, words
):
    with pytest.raises(SourceMetricError) as caught:
        carry(source_call, call, mappings=[tone(source), csat(source, label="Late", **rules)])
    assert words in str(caught.value)
    assert not isinstance(caught.value, AirflowFailException)
    assert submits(emulator) == []


def test_a_metric_that_is_not_there_is_told_with_those_that_are(carry, source, source_call, call):
    with pytest.raises(SourceMetricError) as caught:
        carry(source_call, call, mappings=[csat(source, source=source.metrics[2])])
    assert f"found: {', '.join(sorted(source.metrics[:2]))}. " in str(caught.value)


def test_a_metric_that_is_still_being_computed_is_told(carry, emulator, source, source_call, call):
    source.add(source_call, source.metrics[2], 1, after=3600)
    with pytest.raises(SourceMetricError, match="still being computed"):
        carry(source_call, call, mappings=[csat(source), tone(source, source=source.metrics[2])])
    assert submits(emulator) == []


def test_several_values_need_an_aggregate(carry, emulator, source, source_call, call):
    source.add(source_call, source.metrics[0], 2, "Curt at the end")
    with pytest.raises(SourceMetricError, match="has 2 values; aggregate says how they become one"):
        carry(source_call, call)
    assert submits(emulator) == []
    for aggregate, score in {"mean": 50, "min": 25, "max": 75, "last": 25}.items():
        carry(source_call, call, mappings=[csat(source, aggregate=aggregate)])
        assert evaluations(emulator, call)["CSAT"][0] == score


@pytest.mark.parametrize(
    ("broken", "error"), [("source", NotFoundError), ("zelto", NotFoundError)], ids=["source", "zelto"]
)
def test_a_call_that_is_not_there_fails_the_task_for_a_retry(carry, source, source_call, call, broken, error):
    unknown = {"source": (source.example_id, call), "zelto": (source_call, CALL)}[broken]
    with pytest.raises(error) as caught:
        carry(*unknown)
    assert caught.value.service == (source.title if broken == "source" else "Zelto")


@pytest.mark.parametrize("body", ["<html>", {}, "[]"])
def test_an_answer_that_is_not_documented_fails_the_task_before_anything_is_submitted(
    carry, emulator, source, source_call, call, body
):
    emulator.fault(service=source.name, body=body)
    with pytest.raises(Exception, match="not documented"):
        carry(source_call, call)
    assert submits(emulator) == []


BAD_MAPPINGS = [
    ({"source": ""}, "mappings[0].source"),
    ({"score_range": (5, 5)}, "mappings[0].score_range"),
    ({"pass_when": {"=>": 1}}, "mappings[0].pass_when"),
    ({"aggregate": "median"}, "mappings[0].aggregate"),
    ({"label": "Tone"}, "mappings"),
    ({"score_range": None}, "mappings[0].score_range and pass_when"),
]


@SOURCE
@pytest.mark.parametrize(("rules", "field"), BAD_MAPPINGS)
def test_a_bad_mapping_is_refused_when_the_dag_is_parsed(source, rules, field):
    for calls in (pair(source, source.example_id), {"pairs": []}, {"pairs": TEMPLATE}):
        with pytest.raises(InvalidMetricError) as caught:
            make_transfer(source, mappings=[csat(source, **rules), tone(source)], **calls)
        assert [error.field for error in caught.value.errors] == [field]


@pytest.mark.parametrize(("rules", "field"), BAD_MAPPINGS)
def test_a_bad_mapping_that_was_rendered_is_refused_before_anything_is_sent(
    emulator, source, source_call, call, rules, field
):
    for calls in (pair(source, source_call, call), {"pairs": [pair(source, source_call, call)]}):
        with DAG("native", schedule=None, render_template_as_native_obj=True):
            transfer = make_transfer(source, mappings=TEMPLATE, **calls)
        transfer.render_template_fields({"params": {"anything": [csat(source, **rules), tone(source)]}})
        with pytest.raises(InvalidMetricError) as caught:
            transfer.execute({})
        assert [error.field for error in caught.value.errors] == [field]
    assert emulator.journal() == []


@SOURCE
def test_what_is_not_templated_in_a_mapping_is_checked_when_the_dag_is_parsed(source):
    ids = pair(source, source.example_id)
    assert make_transfer(source, mappings=[csat(source, label=TEMPLATE)], **ids)
    with pytest.raises(InvalidMetricError) as caught:
        make_transfer(source, mappings=[csat(source, label=TEMPLATE, score_range=(0, 0))], **ids)
    assert [error.field for error in caught.value.errors] == ["mappings[0].score_range"]


@SOURCE
@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        (lambda source: {}, ["pairs"]),
        (lambda source: {"conversation_id": CALL}, ["id"]),
        (lambda source: {source.transfer_id: source.example_id}, ["conversation_id"]),
        (lambda source: {"pairs": [], "conversation_id": CALL}, ["pairs"]),
        (lambda source: {"pairs": [], source.transfer_id: source.example_id}, ["pairs"]),
        (lambda source: {"pairs": [], **pair(source, source.example_id)}, ["pairs"]),
        (lambda source: {"pairs": "calls.jsonl"}, ["pairs"]),
        (lambda source: {"pairs": {"a": "b"}}, ["pairs"]),
        (lambda source: {"pairs": 5}, ["pairs"]),
        (lambda source: pair(source, source.bad_id, "x"), ["conversation_id", "id"]),
        (lambda source: {"pairs": [], "concurrency": 0}, ["concurrency"]),
        (lambda source: {"pairs": [], "max_requests_per_second": 0}, ["max_requests_per_second"]),
        (lambda source: {"pairs": [], "max_rejects": -1}, ["max_rejects"]),
    ],
)
def test_a_literal_that_cannot_be_used_is_refused_when_the_dag_is_parsed(source, arguments, fields):
    with pytest.raises(InvalidMetricError) as caught:
        make_transfer(source, **arguments(source))
    named = [error.field.replace(source.transfer_id, "id") for error in caught.value.errors]
    assert sorted(named) == fields or named == ["conversation_id"]
    assert len(named) == len(fields)


@SOURCE
def test_every_argument_that_names_something_is_templated(source):
    names = dict.fromkeys(source.transfer.template_fields, "{{ value }}")
    one = make_transfer(source, **{name: text for name, text in names.items() if name != "pairs"})
    many = make_transfer(source, mappings="{{ value }}", pairs="{{ value }}")
    for transfer in (one, many):
        transfer.render_template_fields({"value": "rendered"})
    assert [getattr(one, name) for name in names if name != "pairs"] == ["rendered"] * (len(names) - 1)
    assert (many.pairs, many.mappings) == ("rendered", "rendered")
    assert {source.transfer_id, "conversation_id", "mappings", "pairs", "rejects_path"} <= names.keys()


@SOURCE
def test_an_xcom_may_stand_in_any_templated_argument(source, xcom):
    ids, part = pair(source, source.example_id), xcom["key"]
    for number, arguments in enumerate(
        [{**ids, name: part} for name in ids] + [{**ids, "mappings": part}, {"pairs": part}]
    ):
        transfer = make_transfer(source, task_id=f"carry_{number}", **arguments)
        assert transfer.upstream_task_ids == {"anything"}


def test_a_transfer_uses_the_connections_it_is_given(
    carry, emulator, source, source_call, call, connect, connect_source
):
    connect("http://127.0.0.1:1")
    connect_source(source.name, "http://127.0.0.1:1")
    connect(emulator.url, conn_id="zelto_other")
    connect_source(source.name, host(emulator, source.name), conn_id="other")
    conn_ids = {"zelto_conn_id": "zelto_other", f"{source.name}_conn_id": "other"}
    assert len(carry(source_call, call, **conn_ids)["submitted"]) == 2
    assert carry(pairs=[pair(source, source_call, call)], **conn_ids)["submitted"] == 2


KEYS = {"zelto": "zk-5d0e7a41c9", "roark": "rk-c81f3b6a20", "coval": "ck-e92b7d4f15"}


@pytest.fixture
def keys(connect, connect_source, no_backoff):
    """Services with a key each, which say it again in what they answer."""
    with Emulator(api_keys=list(KEYS.values())) as emulator:
        connect(emulator.url, password=KEYS["zelto"])
        for name in LOCAL_SOURCES:
            connect_source(name, host(emulator, name), password=KEYS[name])
        yield emulator


@pytest.mark.parametrize("name", LOCAL_SOURCES)
def test_no_key_is_shown_by_xcoms_logs_errors_and_rejects(name, keys, logged, tmp_path):
    source = LOCAL_SOURCES[name](keys)
    shown = []
    pairs = fill(keys, source, 3)
    path = tmp_path / "rejects.jsonl"
    transfer = make_transfer(source, pairs=[*pairs, pair(source, source.example_id)], max_rejects=None)
    transfer.rejects_path = str(path)
    shown.append(json.dumps(transfer.execute({})))
    shown.append(json.dumps(make_transfer(source, **pairs[0]).execute({})))
    shown.append(path.read_text())
    for service in (name, "zelto"):
        echo = f"the key {KEYS[service]} is not known"
        keys.fault(service=service, status=503, body=echo, count=1)
        keys.fault(service=service, status=401, body=echo)
        for arguments in (pairs[0], {"pairs": pairs}):
            with pytest.raises(AuthenticationError) as caught:
                make_transfer(source, **arguments).execute({})
            shown += [str(caught.value), repr(vars(caught.value))]
        keys.clear_faults()
    shown += [line.text for line in logged()]
    assert any("***" in text for text in shown)
    assert [text for text in shown for key in KEYS.values() if key in text] == []
