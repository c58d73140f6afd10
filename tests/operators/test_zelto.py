from __future__ import annotations

import json
from decimal import Decimal

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_zelto.exceptions import AuthenticationError, InvalidMetricError, NotFoundError
from airflow_provider_zelto.operators.zelto import ListCustomerMetricsOperator, SubmitCustomerMetricOperator
from tests.answers import CALL
from tests.conftest import run_with_call
from tests.dags import zelto_operators


def submit(conversation_id=CALL, *, label="a", **arguments):
    return SubmitCustomerMetricOperator(
        task_id="submit", conversation_id=conversation_id, label=label, **arguments
    )


def list_metrics(conversation_id=CALL, **arguments):
    return ListCustomerMetricsOperator(task_id="list", conversation_id=conversation_id, **arguments)


def fields_refused(make, **arguments):
    with pytest.raises(InvalidMetricError) as caught:
        make(**arguments)
    return [error.field for error in caught.value.errors]


def test_a_submit_gives_the_metric_as_zelto_stored_it(emulator, call):
    stored = submit(call, score="92.5", verdict="pass", note="n", external_id="e").execute({})
    assert emulator.metrics(call) == [stored]
    assert json.loads(json.dumps(stored)) == stored
    assert (stored["label"], stored["score"], stored["verdict"]) == ("a", 92.5, "pass")


def test_a_submit_writes_one_line_that_says_what_came_of_it(call, logged):
    submit(call, label="Tone", score=0, verdict="fail").execute({})
    lines = [line for line in logged() if call in line.text]
    assert lines == [("INFO", f"Zelto stored 'Tone' for call {call}: verdict fail, score 0.")]


def test_a_list_gives_all_metrics_sorted_by_label(emulator, call):
    for label in ("b", "c", "a"):
        emulator.add_metric(call, label, score=1)
    listed = list_metrics(call).execute({})
    assert [metric["label"] for metric in listed] == ["a", "b", "c"]
    assert sorted(emulator.metrics(call), key=lambda metric: metric["label"]) == listed


@pytest.mark.parametrize(
    ("labels", "found"), [(None, ["a", "b"]), (["b"], ["b"]), (("b", "a"), ["a", "b"]), (["x"], [])]
)
def test_labels_narrow_a_list(emulator, call, labels, found):
    for label in ("b", "a"):
        emulator.add_metric(call, label, score=1)
    listed = list_metrics(call, labels=labels).execute({})
    assert [metric["label"] for metric in listed] == found


def test_a_list_writes_one_line_that_says_what_was_found(emulator, call, logged):
    for label in ("b", "a"):
        emulator.add_metric(call, label, score=1)
    list_metrics(call, labels=["a"]).execute({})
    lines = [line for line in logged() if call in line.text]
    assert lines == [("INFO", f"Metrics of call {call} in Zelto: 2, of them asked for: 1.")]


def test_a_list_of_a_call_without_metrics_is_empty(call):
    assert list_metrics(call).execute({}) == []


@pytest.mark.parametrize("make", [submit, list_metrics])
def test_an_operator_uses_the_connection_it_is_given(emulator, connect, call, make):
    connect(emulator.url, conn_id="zelto_refused", password="wrong-key")
    arguments = {"score": 1} if make is submit else {}
    with pytest.raises(AuthenticationError):
        make(call, zelto_conn_id="zelto_refused", **arguments).execute({})


@pytest.mark.usefixtures("emulator")
def test_a_call_that_zelto_does_not_know_fails_the_task():
    with pytest.raises(NotFoundError):
        list_metrics().execute({})
    with pytest.raises(NotFoundError):
        submit(score=1).execute({})


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"conversation_id": "../x", "score": 1}, ["conversation_id"]),
        ({"label": "", "score": 1}, ["label"]),
        ({"label": None, "score": 1}, ["label"]),
        ({"verdict": "maybe"}, ["verdict"]),
        ({"score": 100.1}, ["score"]),
        ({"score": True}, ["score"]),
        ({"score": 1, "note": "n" * 5001}, ["note"]),
        ({"score": 1, "metric_id": "m"}, ["metric_id"]),
        ({"score": 1, "external_id": "e" * 256}, ["external_id"]),
        ({}, ["verdict and score"]),
        ({"conversation_id": "{{ ds }}", "label": "", "score": 101}, ["label", "score"]),
        ({"label": "{{ ds }}"}, ["verdict and score"]),
        (
            {"conversation_id": "x", "label": "", "note": 1},
            ["conversation_id", "label", "note", "verdict and score"],
        ),
    ],
)
def test_a_literal_that_breaks_a_limit_is_refused_when_the_dag_is_parsed(arguments, fields):
    assert fields_refused(submit, **arguments) == fields


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"conversation_id": "x"}, ["conversation_id"]),
        ({"labels": "a"}, ["labels"]),
        ({"labels": []}, ["labels"]),
        ({"labels": [""]}, ["labels"]),
        ({"conversation_id": "{{ ds }}", "labels": [1]}, ["labels"]),
    ],
)
def test_a_literal_that_no_list_can_use_is_refused_when_the_dag_is_parsed(arguments, fields):
    assert fields_refused(list_metrics, **arguments) == fields


TEMPLATE = "{{ params.anything }}"


@pytest.mark.parametrize(
    "arguments",
    [
        {"conversation_id": TEMPLATE, "score": 1},
        {"label": TEMPLATE, "score": 1},
        {"verdict": TEMPLATE},
        {"score": TEMPLATE},
        {"score": 1, "note": TEMPLATE},
        {"score": 1, "metric_id": TEMPLATE},
        {"score": 1, "external_id": TEMPLATE + "x" * 300},
        {"score": "{% if params.x %}1{% endif %}"},
    ],
)
def test_a_template_is_not_checked_before_it_is_rendered(arguments):
    assert submit(**arguments)


@pytest.mark.parametrize("labels", [TEMPLATE, [TEMPLATE], ["a", TEMPLATE]])
def test_templated_labels_are_not_checked_before_they_are_rendered(labels):
    assert list_metrics(labels=labels)


PARTS = {
    "whole": lambda xcom: xcom,
    "item": lambda xcom: xcom["key"],
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize(
    "field", ["conversation_id", "label", "verdict", "score", "note", "metric_id", "external_id"]
)
def test_an_xcom_may_stand_in_any_argument_of_a_submit(xcom, field, part):
    arguments = {"conversation_id": CALL, "label": "a", "score": 1, field: part(xcom)}
    assert submit(**arguments).upstream_task_ids == {"anything"}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("field", ["conversation_id", "labels"])
def test_an_xcom_may_stand_in_any_argument_of_a_list(xcom, field, part):
    arguments = {"conversation_id": CALL, field: part(xcom)}
    assert list_metrics(**arguments).upstream_task_ids == {"anything"}


def test_an_xcom_may_stand_within_a_list_of_labels(xcom):
    assert list_metrics(labels=["a", xcom["key"]]).upstream_task_ids == {"anything"}


def test_every_argument_of_a_submit_is_templated():
    operator = submit(
        "{{ a }}", label="{{ b }}", verdict="{{ c }}", score="{{ d }}", note="{{ e }}", metric_id="{{ f }}",
        external_id="{{ g }}", zelto_conn_id="{{ h }}",
    )  # fmt: skip
    operator.render_template_fields({letter: letter.upper() for letter in "abcdefgh"})
    assert [getattr(operator, field) for field in operator.template_fields] == list("ABCDEFGH")


def test_every_argument_of_a_list_is_templated():
    operator = list_metrics("{{ a }}", labels=["{{ b }}", "x"], zelto_conn_id="{{ c }}")
    operator.render_template_fields({letter: letter.upper() for letter in "abc"})
    assert [getattr(operator, field) for field in operator.template_fields] == ["A", ["B", "x"], "C"]


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"score": TEMPLATE}, ["score"]),
        ({"verdict": TEMPLATE}, ["verdict"]),
        ({"score": 1, "metric_id": TEMPLATE}, ["metric_id"]),
        ({"conversation_id": TEMPLATE, "score": TEMPLATE}, ["conversation_id", "score"]),
    ],
)
def test_a_template_that_renders_to_a_bad_value_is_refused_before_anything_is_sent(
    emulator, arguments, fields
):
    operator = submit(**arguments)
    operator.render_template_fields({"params": {"anything": "12 %"}})
    assert fields_refused(lambda: operator.execute({})) == fields
    assert emulator.journal() == []


@pytest.mark.parametrize(("score", "stored"), [(Decimal("92.5"), 92.5), (0, 0), ("7", 7)])
def test_a_score_may_be_rendered_as_a_native_object(emulator, call, score, stored):
    with DAG("native", schedule=None, render_template_as_native_obj=True):
        operator = submit(call, score=TEMPLATE)
    operator.render_template_fields({"params": {"anything": score}})
    assert operator.execute({})["score"] == stored


def test_labels_may_be_rendered_as_a_native_list(emulator, call):
    emulator.add_metric(call, "a", score=1)
    emulator.add_metric(call, "b", score=1)
    with DAG("native", schedule=None, render_template_as_native_obj=True):
        operator = list_metrics(call, labels=TEMPLATE)
    operator.render_template_fields({"params": {"anything": ["b"]}})
    assert [metric["label"] for metric in operator.execute({})] == ["b"]


def test_labels_that_were_rendered_as_text_are_explained(emulator, call):
    operator = list_metrics(call, labels=TEMPLATE)
    operator.render_template_fields({"params": {"anything": ["b"]}})
    with pytest.raises(InvalidMetricError, match="render_template_as_native_obj=True"):
        operator.execute({})
    assert emulator.journal() == []


@pytest.fixture(scope="module")
def run(airflow_db, local_zelto):
    """One run of the DAG that uses the operators in every way."""
    return run_with_call(zelto_operators.dag, local_zelto)


def test_a_dag_submits_what_its_tasks_and_templates_give(run):
    assert run.state == "success"
    assert {label: (metric.get("verdict"), metric.get("score")) for label, metric in run.stored.items()} == {
        "From XCom": (None, 0),
        "From Jinja": ("pass", 42),
        "Row 1": (None, 12.5),
        "Row 2": ("fail", None),
        "Label 1": ("pass", None),
        "Label 2": ("pass", None),
        "Replaced each time": (None, 100),
    }


def test_the_xcom_of_a_submit_is_the_stored_metric(run):
    assert run.xcom("from_xcom") == run.stored["From XCom"]


def test_multiple_outputs_give_each_field_a_key_of_its_own(run):
    stored = run.stored["From Jinja"]
    assert {key: run.xcom("from_jinja", key) for key in stored} == stored
    assert stored["externalId"] == "from_jinja"


def test_a_submit_may_be_mapped_over_rows(run):
    assert [run.xcom("of_rows", map_index=index) for index in (0, 1)] == [
        run.stored["Row 1"],
        run.stored["Row 2"],
    ]


def test_a_submit_may_be_mapped_over_one_argument(run):
    assert [run.xcom("of_labels", map_index=index) for index in (0, 1)] == [
        run.stored["Label 1"],
        run.stored["Label 2"],
    ]
    assert run.stored["Label 2"]["note"] == "1"
    assert run.xcom("of_a_list", map_index=0) == run.stored["Replaced each time"]


def test_the_xcom_of_a_list_holds_the_metrics_asked_for_sorted_by_label(run):
    assert run.xcom("listed") == [run.stored[label] for label in ("Label 1", "Row 1", "Row 2")]
