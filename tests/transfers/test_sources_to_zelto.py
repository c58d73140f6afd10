"""What the transfers from all sources have in common."""

from __future__ import annotations

import json
import threading
import time

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, task

from airflow_provider_zelto.emulator import Emulator
from airflow_provider_zelto.exceptions import (
    AuthenticationError,
    BadRequestError,
    BatchStoppedError,
    InvalidMetricError,
    NotFoundError,
    PermissionDeniedError,
    SourceMetricError,
    TooManyRejectsError,
)
from tests.answers import CALL
from tests.dags import source_transfers
from tests.sources import LOCAL_SOURCES, host

pytest_plugins = ["tests.source_fixtures"]

SOURCE = pytest.mark.parametrize("source", LOCAL_SOURCES.values(), ids=LOCAL_SOURCES)
TEMPLATE = "{{ params.anything }}"


def csat(of, /, **rules):
    return {"source": of.metrics[0], "label": "CSAT", "score_range": (1, 5), **rules}


def tone(of, /, **rules):
    return {"source": of.metrics[1], "label": "Tone", "pass_when": {"in": ["calm"]}, **rules}


def make_transfer(source, **arguments):
    return source.transfer(**{"task_id": "carry", "mappings": [csat(source), tone(source)], **arguments})


def pair(source, source_id, call=CALL):
    return {source.transfer_id: source_id, "conversation_id": call}


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


def submits(emulator):
    return emulator.journal(service="zelto", method="POST")


def evaluations(emulator, call):
    """Give what Zelto holds of a call: score, verdict and note by label."""
    return {
        metric["label"]: (metric.get("score"), metric.get("verdict"), metric.get("note"))
        for metric in emulator.metrics(call)
    }


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
def test_an_xcom_may_stand_in_any_templated_argument(source):
    with DAG("any", schedule=None):

        @task
        def anything() -> dict[str, object]:
            return {}

        xcom = anything()["key"]
        ids = pair(source, source.example_id)
        for number, arguments in enumerate(
            [{**ids, name: xcom} for name in ids] + [{**ids, "mappings": xcom}, {"pairs": xcom}]
        ):
            transfer = make_transfer(source, task_id=f"carry_{number}", **arguments)
            assert transfer.upstream_task_ids == {"anything"}


@pytest.mark.parametrize("rendered", ["[{'a': 'b'}]", "{'a': 'b'}", None, 5])
def test_pairs_that_were_rendered_to_something_else_are_refused(emulator, source, rendered):
    transfer = make_transfer(source, pairs=TEMPLATE)
    transfer.pairs = rendered
    with pytest.raises(InvalidMetricError):
        transfer.execute({})
    assert emulator.journal() == []


def fill(emulator, source, count):
    """Add calls at the source and in Zelto, and give their pairs."""
    pairs = []
    for number in range(count):
        source_call = source.add_call()
        source.add(source_call, source.metrics[0], 1 + number % 5)
        source.add(source_call, source.metrics[1], "calm" if number % 2 else "loud")
        pairs.append(pair(source, source_call, emulator.add_conversation()))
    return pairs


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


@pytest.fixture(scope="module")
def run(airflow_db, local_zelto):
    """One run of the DAG that gives pairs in every way."""
    from tests.conftest import Run

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
