from __future__ import annotations

import pytest

from airflow_provider_zelto.exceptions import SourceMetricError
from airflow_provider_zelto.transfers.roark_to_zelto import RoarkToZeltoOperator
from tests.sources import CHAT

pytest_plugins = ["tests.source_fixtures"]


@pytest.fixture
def chat(roark):
    return roark.add_chat(CHAT)


@pytest.fixture(params=["one", "many"])
def carry(request, chat, call):
    """Carry the metrics of the chat, alone or as one of many, by a mapping."""

    def run(**rules):
        mapping = {"source": "csat", "label": "CSAT", "score_range": (0, 1), **rules}
        ids = {"chat_id": chat, "conversation_id": call}
        calls = ids if request.param == "one" else {"pairs": [ids], "max_rejects": None}
        return RoarkToZeltoOperator(task_id="carry", mappings=[mapping], **calls).execute({})

    run.many = request.param == "many"
    return run


def listed(emulator, *metrics):
    emulator.fault(service="roark", body={"data": list(metrics)})


def definition(*values, slug="csat", **fields):
    return {"slug": slug, "metricId": slug, "values": list(values), **fields}


def test_rows_without_a_value_are_asked_for_and_nothing_is_flattened(carry, emulator, roark, chat):
    roark.add_metric_value(chat, "csat", 1)
    carry()
    assert [entry["query"] for entry in emulator.journal(service="roark")] == ["flatten=false&status=all"]


def test_the_reasoning_is_the_note_and_the_metric_id_the_external_id(carry, roark, chat, stored):
    roark.add_metric_value(chat, "csat", 1, value_reasoning="Friendly throughout")
    carry()
    assert stored("note", "externalId") == ["Friendly throughout", "csat"]


def test_a_value_without_reasoning_has_no_note(carry, roark, chat, stored):
    roark.add_metric_value(chat, "csat", 1)
    carry()
    assert stored("score", "note") == [100, None]


@pytest.mark.parametrize(
    ("times", "last"),
    [
        (["2026-01-02T12:00:00Z", "2026-01-02T12:00:01Z"], 1),
        (["2026-01-02T12:00:01Z", "2026-01-02T12:00:00Z"], 0),
        (["2026-01-02T12:00:00.500Z", "2026-01-02T12:00:00Z"], 0),
        (["2026-01-02T12:00:00Z", "2026-01-02T12:30:00+01:00"], 0),
        ([None, "2026-01-02T12:00:00Z"], 1),
        (["2026-01-02T12:00:00Z", None], 0),
        (["soon", "2026-01-02T12:00:00Z", "later"], 1),
        (["2026-01-02T12:00:00Z", "2026-01-02T12:00:00Z"], 1),
    ],
)
def test_the_last_value_is_the_one_computed_last(carry, emulator, stored, times, last):
    listed(
        emulator,
        definition(
            *(
                {"value": number / 10, **({"computedAt": time} if time else {})}
                for number, time in enumerate(times)
            )
        ),
    )
    carry(aggregate="last")
    assert stored("score") == [last * 10]


def test_values_of_two_definitions_with_one_slug_belong_together(carry, emulator, stored):
    listed(emulator, definition({"value": 0.2}), definition({"value": 0.4}, name="second policy"))
    carry(aggregate="mean")
    assert stored("score") == [30]


def test_a_verdict_may_need_every_participant(carry, roark, chat, stored):
    roark.add_metric_value(chat, "polite", True, participant_role="agent", value_reasoning="Thanked twice")
    roark.add_metric_value(chat, "polite", False, participant_role="customer", value_reasoning="Shouted")
    carry(source="polite", score_range=None, pass_when=True, aggregate="all_pass")
    assert stored("verdict", "note") == ["fail", "Shouted"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"captureStatus": "NOT_APPLICABLE"}, "NOT_APPLICABLE"),
        ({"captureStatus": "ERROR", "errorMessage": "judge timed out"}, "judge timed out"),
        ({"captureStatus": "DATA_MISSING", "valueReasoning": "no audio"}, "no audio"),
        ({"value": None}, "no value"),
        ({}, "no value"),
    ],
)
def test_a_row_without_a_value_is_skipped_with_the_best_reason(carry, emulator, call, row, reason):
    listed(emulator, definition(row))
    carried = carry()
    (skipped,) = carried["skipped_because"] if carry.many else carried["skipped"]
    assert (skipped["source"], skipped["reason"]) == ("csat", reason)
    assert emulator.metrics(call) == []


@pytest.mark.parametrize(
    "row",
    [{}, {"slug": None, "values": [{"value": 1}]}, definition(), {"slug": "csat"}],
)
def test_a_metric_without_rows_is_not_there_yet(carry, emulator, call, row):
    listed(emulator, row)
    if carry.many:
        assert carry()["rejected"] == 1
    else:
        with pytest.raises(SourceMetricError, match="There is no metric 'csat'"):
            carry()
    assert emulator.metrics(call) == []
