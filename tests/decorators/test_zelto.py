from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_zelto.decorators.zelto import metrics_of
from airflow_provider_zelto.exceptions import InvalidMetricError, NotFoundError
from tests.answers import CALL
from tests.conftest import Run
from tests.dags import zelto_taskflow

ID = "0d9c5f0e-5a59-4c55-9a3b-0a8f8c8e2a11"
DEFAULTS = {"conversation_id": CALL, "label": "a"}


def meant(returned, **defaults):
    return [
        metric.model_dump(exclude_none=True, exclude=DEFAULTS.keys())
        for metric in metrics_of(returned, {**DEFAULTS, **defaults})
    ]


class Scalar:
    """What numpy and tensor libraries give for one value."""

    dtype = "any"

    def __init__(self, *values):
        self.values = values

    def item(self):
        if len(self.values) != 1:
            raise ValueError("can only convert an array of size 1")
        return self.values[0]


@pytest.mark.parametrize(
    ("returned", "fields"),
    [
        (92, {"score": 92}),
        (0, {"score": 0}),
        (92.5, {"score": 92.5}),
        (Decimal("92.5"), {"score": 92.5}),
        (Fraction(1, 2), {"score": 0.5}),
        (True, {"verdict": "pass"}),
        (False, {"verdict": "fail"}),
        (Scalar(7.0), {"score": 7}),
        (Scalar(True), {"verdict": "pass"}),
        ({"score": Scalar(7), "verdict": Scalar(False)}, {"score": 7, "verdict": "fail"}),
        ({"score": "92", "note": "n"}, {"score": 92, "note": "n"}),
        ({"verdict": "pass", "score": None}, {"verdict": "pass"}),
        ({"verdict": True, "metricId": ID, "external_id": "e"},
         {"verdict": "pass", "metric_id": ID, "external_id": "e"}),
    ],
)  # fmt: skip
def test_a_value_means_a_metric(returned, fields):
    assert meant(returned) == [fields]


def test_what_a_dict_brings_comes_before_what_the_decorator_was_given():
    row = {"conversationId": CALL.upper(), "label": "own", "externalId": "own", "score": 1}
    [metric] = metrics_of(row, {"conversation_id": ID, "label": "x", "external_id": "x", "metric_id": ID})
    assert (metric.conversation_id, metric.label, metric.external_id, metric.metric_id) == (
        CALL,
        "own",
        "own",
        ID,
    )
    [metric] = metrics_of({"label": None, "score": 1}, DEFAULTS)
    assert metric.label == "a"


def test_a_list_means_several_metrics():
    rows = [
        {"label": "b", "score": 1},
        {"verdict": "fail"},
        {"label": "b", "score": 1, "conversation_id": ID},
    ]
    metrics = metrics_of(rows, DEFAULTS)
    assert [(metric.conversation_id, metric.label) for metric in metrics] == [
        (CALL, "b"),
        (CALL, "a"),
        (ID, "b"),
    ]


@pytest.mark.parametrize(
    ("returned", "fields"),
    [
        (None, ["return value"]),
        ("92", ["return value"]),
        (b"1", ["return value"]),
        ([], ["return value"]),
        ({1, 2}, ["return value"]),
        (1j, ["return value"]),
        (Scalar(1, 2), ["return value"]),
        (float("nan"), ["score"]),
        (101, ["score"]),
        (Scalar(float("inf")), ["score"]),
        ({}, ["verdict and score"]),
        ({"label": "only"}, ["verdict and score"]),
        ({"points": 1, "score": 1}, ["points"]),
        ({"score": True}, ["score"]),
        ([{"score": 1}, {"score": 2}], ["[1] label"]),
        ([{"score": 1, "label": "b"}, 5, {"score": 200, "note": 1}], ["[1] value", "[2] score", "[2] note"]),
        ([None], ["[0] value"]),
    ],
)
def test_a_value_that_means_nothing_is_refused_by_what_is_wrong(returned, fields):
    with pytest.raises(InvalidMetricError) as caught:
        metrics_of(returned, DEFAULTS)
    assert [error.field for error in caught.value.errors] == fields


def test_a_function_that_returns_nothing_is_told_how_to_submit_nothing():
    with pytest.raises(InvalidMetricError, match="raise AirflowSkipException to submit nothing"):
        metrics_of(None, DEFAULTS)


def test_a_metric_without_call_or_label_is_refused():
    with pytest.raises(InvalidMetricError) as caught:
        metrics_of(1, {"conversation_id": None, "label": None})
    assert [error.field for error in caught.value.errors] == ["conversation_id", "label"]


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
    local_zelto.reset()
    call = local_zelto.add_conversation()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AIRFLOW_CONN_ZELTO_DEFAULT", local_zelto.connection_json())
        finished = Run(zelto_taskflow.dag.test(run_conf={"conversation_id": call}))
    finished.stored = {metric["label"]: metric for metric in local_zelto.metrics(call)}
    return finished


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
