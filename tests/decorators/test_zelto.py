from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_zelto.exceptions import InvalidMetricError, NotFoundError
from tests.answers import CALL
from tests.conftest import run_with_call
from tests.dags import zelto_taskflow


def operator(function, *, multiple_outputs=None, **arguments):
    """Give the operator that the decorator makes of a function."""
    with DAG("any", schedule=None):
        decorate = task.zelto_metric(task_id="score", multiple_outputs=multiple_outputs, **arguments)
        return decorate(function)().operator


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"conversation_id": "../x"}, ["conversation_id"]),
        ({"label": ""}, ["label"]),
        ({"metric_id": "m", "external_id": "e" * 256}, ["metric_id", "external_id"]),
        ({"conversation_id": "{{ ds }}", "label": "x" * 256}, ["label"]),
    ],
)
def test_a_literal_that_breaks_a_limit_is_refused_when_the_dag_is_parsed(arguments, fields):
    with pytest.raises(InvalidMetricError) as caught:
        operator(lambda: 1, **arguments)
    assert [error.field for error in caught.value.errors] == fields


def test_every_argument_is_templated():
    made = operator(
        lambda: 1, conversation_id="{{ a }}", label="{{ b }}", metric_id="{{ c }}", external_id="{{ d }}",
        zelto_conn_id="{{ e }}",
    )  # fmt: skip
    made.render_template_fields({letter: letter.upper() for letter in "abcde"})
    fields = [field for field in made.template_fields if not field.startswith("op_")]
    assert [getattr(made, field) for field in fields] == list("ABCDE")


def test_the_label_may_come_from_a_task():
    with DAG("any", schedule=None):

        @task
        def name() -> str:
            return "a"

        @task.zelto_metric(conversation_id=CALL, label=name())
        def score():
            return 1

        assert score().operator.upstream_task_ids == {"name"}


@pytest.mark.parametrize("returned", [[{"label": "b", "score": 1}, {"label": "c", "score": 101}], 101, None])
def test_nothing_is_sent_unless_all_is_valid(emulator, call, returned):
    with pytest.raises(InvalidMetricError):
        operator(lambda: returned, conversation_id=call, label="a").execute({})
    assert emulator.journal() == []


def test_several_metrics_cannot_be_spread_over_keys_and_are_not_sent(emulator, call):
    made = operator(lambda: [{"label": "b", "score": 1}], conversation_id=call, multiple_outputs=True)
    with pytest.raises(InvalidMetricError, match="multiple_outputs"):
        made.execute({})
    assert emulator.journal() == []


@pytest.mark.usefixtures("emulator")
def test_a_call_that_zelto_does_not_know_fails_the_task():
    with pytest.raises(NotFoundError):
        operator(lambda: 1, conversation_id=CALL, label="a").execute({})


def test_each_metric_is_one_line_in_the_log(emulator, call, logged):
    operator(
        lambda: [{"label": "b", "score": 1}, {"label": "c", "verdict": True}], conversation_id=call
    ).execute({})
    assert [line for line in logged() if call in line.text] == [
        ("INFO", f"Zelto stored 'b' for call {call}: verdict None, score 1."),
        ("INFO", f"Zelto stored 'c' for call {call}: verdict pass, score None."),
    ]


@pytest.fixture(scope="module")
def run(airflow_db, local_zelto):
    """One run of the DAG that uses the decorator in every way."""
    return run_with_call(zelto_taskflow.dag, local_zelto)


def test_a_dag_submits_what_its_functions_return(run):
    assert run.state == "success"
    assert {label: (metric.get("verdict"), metric.get("score")) for label, metric in run.stored.items()} == {
        "Number": (None, 42),
        "Truth of truth": ("pass", None),
        "Fields": ("fail", 92),
        "First": (None, 1),
        "Second": ("pass", None),
        "Mapped 0": (None, 10),
        "Mapped 1": (None, 20),
        "Row 1": (None, 1),
        "Row 2": (None, 2),
        "Waited for": (None, 5),
    }
    assert run.states["skipped"] == "skipped"
    assert run.stored["Number"]["externalId"] == "number"
    assert run.stored["Fields"]["note"] == "greeting missing"


def test_the_xcom_is_the_stored_metric_and_a_list_of_them_for_a_list(run):
    assert run.xcom("number") == run.stored["Number"]
    assert run.xcom("several") == [run.stored["First"], run.stored["Second"]]
    assert [run.xcom("mapped", map_index=index) for index in (0, 1)] == [
        run.stored["Mapped 0"],
        run.stored["Mapped 1"],
    ]
    assert run.xcom("mapped_rows", map_index=1) == run.stored["Row 2"]


def test_a_function_annotated_to_return_a_dict_has_a_key_for_each_field(run):
    assert run.xcom("echo") == [run.stored["Fields"], 92]
    assert run.xcom("fields", "verdict") == "fail"
    assert run.xcom("number", "score") is None
