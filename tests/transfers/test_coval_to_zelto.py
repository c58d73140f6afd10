from __future__ import annotations

import pytest

from airflow_provider_zelto.exceptions import APIResponseValidationError, SourceMetricError
from airflow_provider_zelto.transfers.coval_to_zelto import CovalToZeltoOperator
from tests.sources import CONVERSATION

pytest_plugins = ["tests.source_fixtures"]

METRIC = "29BlkepvvX19ebbLDB0y6Q"


@pytest.fixture
def conversation(coval):
    return coval.add_conversation(CONVERSATION)


@pytest.fixture
def add(coval, conversation):
    """Add an output of the metric, and give its id."""

    def add_output(value=None, **fields):
        output = coval.add_metric_output(conversation, value, metric_id=METRIC, **fields)
        return output["metric_output_id"]

    return add_output


@pytest.fixture(params=["one", "many"])
def carry(request, conversation, call):
    """Carry the metrics of the conversation, alone or as one of many, by a mapping."""

    def run(**rules):
        mapping = {"source": METRIC, "label": "Topic", **(rules or {"score_range": (0, 10)})}
        ids = {"coval_conversation_id": conversation, "conversation_id": call}
        calls = ids if request.param == "one" else {"pairs": [ids], "max_rejects": None}
        return CovalToZeltoOperator(task_id="carry", mappings=[mapping], **calls).execute({})

    run.many = request.param == "many"
    return run


@pytest.fixture
def refused(carry, emulator, call):
    """Carry what cannot be carried, which is told and leaves no trace in Zelto."""

    def read(**rules):
        if carry.many:
            carried = carry(**rules)
            assert (carried["submitted"], carried["rejected"]) == (0, 1)
        else:
            with pytest.raises(SourceMetricError):
                carry(**rules)
        assert emulator.metrics(call) == []

    return read


def test_the_explanation_is_the_note_and_the_output_id_the_external_id(carry, add, stored):
    output = add(7.5, explanation="Answered at once")
    carry()
    assert stored("score", "note", "externalId") == [75, "Answered at once", output]


def test_an_output_without_explanation_has_no_note(carry, add, stored):
    add("refund")
    carry(pass_when={"in": ["refund", "billing"]})
    assert stored("verdict", "note") == ["pass", None]


def test_a_list_of_texts_counts_as_several_values(carry, add, stored):
    output = add(["billing", "refund"])
    carry(pass_when={"in": ["refund"]}, aggregate="any_pass")
    assert stored("verdict", "externalId") == ["pass", output]
    carry(pass_when={"in": ["refund"]}, aggregate="all_pass")
    assert stored("verdict") == ["fail"]


def test_a_list_of_texts_needs_an_aggregate(refused, add):
    add(["billing", "refund"])
    refused(pass_when={"in": ["refund"]})


def test_a_list_of_one_text_is_that_text(carry, add, stored):
    add(["refund"])
    carry(pass_when={"in": ["refund"]})
    assert stored("verdict") == ["pass"]


def skipped(carried):
    (one,) = carried.get("skipped_because") or carried["skipped"]
    return one["reason"]


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"status": "SKIPPED", "status_reason": "no audio"}, "no audio"),
        ({"status": "FAILED"}, "its status is FAILED"),
        ({"status": "CANCELLED"}, "its status is CANCELLED"),
        ({"status": "COMPLETED"}, "no value"),
        ({"status": "COMPLETED", "value": []}, "no value"),
    ],
)
def test_an_output_without_a_value_is_skipped_with_the_best_reason(
    carry, emulator, add, call, output, reason
):
    add(**output)
    assert skipped(carry()) == reason
    assert emulator.metrics(call) == []


@pytest.mark.parametrize("status", ["IN QUEUE", "IN PROGRESS"])
def test_an_output_under_way_is_not_taken_for_a_missing_value(refused, add, status):
    add(5)
    add(status=status)
    refused(score_range=(0, 10), aggregate="last")


def test_a_status_that_is_new_is_not_taken_for_the_end(refused, emulator, conversation):
    row = {"metric_output_id": "o", "metric_id": METRIC, "status": "UNDER REVIEW", "value": 5}
    emulator.fault(service="coval", body={"metrics": [row]})
    refused(score_range=(0, 10))


def test_the_last_value_is_that_of_the_output_made_last(carry, emulator, add, stored):
    for value in (9, 2, 5):
        add(value)
    carry(score_range=(0, 10), aggregate="last")
    assert stored("score") == [50]
    (entry,) = emulator.journal(service="coval")
    assert entry["query"] == "page_size=1000&order_by=create_time"


def test_the_outputs_of_all_pages_are_carried(carry, emulator, stored):
    row = {"metric_id": METRIC, "status": "COMPLETED"}
    pages = [
        {"metrics": [{**row, "metric_output_id": "o1", "value": 2}], "next_page_token": "t"},
        {"metrics": [{**row, "metric_output_id": "o2", "value": 4}]},
    ]
    for page in pages:
        emulator.fault(service="coval", body=page, count=1)
    carry(score_range=(0, 10), aggregate="mean")
    assert stored("score", "externalId") == [30, "o2"]
    assert len(emulator.journal(service="coval")) == 2


def test_pages_that_never_end_fail_the_task_before_anything_is_submitted(carry, emulator, call):
    emulator.fault(service="coval", body={"metrics": [], "next_page_token": "again"})
    with pytest.raises(APIResponseValidationError, match="the same page token twice"):
        carry()
    assert emulator.metrics(call) == []
