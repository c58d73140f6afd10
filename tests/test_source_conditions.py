from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_zelto.conditions import ChatMetricsCondition, ConversationMetricsCondition
from airflow_provider_zelto.exceptions import InvalidMetricError

CHAT = "chat-1"
CONVERSATION = "29BlkepvvX19ebbLDB0y6Q"
CHOICES = ["succeed", "fail", "skip"]


def roark_wait(*slugs, **arguments):
    return ChatMetricsCondition.check({"chat_id": CHAT, "slugs": slugs, **arguments})


def coval_wait(*metric_ids, **arguments):
    return ConversationMetricsCondition.check(
        {"conversation_id": CONVERSATION, "metric_ids": metric_ids, **arguments}
    )


def chat_metric(slug, *values):
    """Give a metric of Roark; a value of None stands for a row without one."""
    rows = [{"captureStatus": "ERROR"} if value is None else {"value": value} for value in values]
    return {"slug": slug, "values": rows}


def output(metric_id, status="COMPLETED", value=None, number=1):
    row = {"metric_output_id": f"{number:026}", "metric_id": metric_id, "status": status}
    return row if value is None else {**row, "value": value}


STATES_OF_A_CHAT = [
    ([], None),
    ([chat_metric("a", 1)], True),
    ([chat_metric("a", 0)], True),
    ([chat_metric("a", False)], True),
    ([chat_metric("a", "")], True),
    ([chat_metric("a", None)], False),
    ([chat_metric("a", None, None)], False),
    ([chat_metric("a", None, 1)], True),
    ([chat_metric("a", 1, None)], True),
    ([chat_metric("a", None), chat_metric("a", 1)], True),
    ([chat_metric("a", 1), chat_metric("a", None)], True),
    ([{"slug": "a", "values": [{"value": None, "captureStatus": "DATA_MISSING"}]}], False),
    ([{"slug": "a", "values": [{"value": {"new": "kind"}}]}], True),
]


@pytest.mark.parametrize(("metrics", "state"), STATES_OF_A_CHAT)
def test_a_metric_of_a_chat_is_awaited_until_it_is_in_the_list(metrics, state):
    assert roark_wait("a").states(metrics) == {"a": state}


STATES_OF_A_CONVERSATION = [
    ([], None),
    ([output("a", value=2.5)], True),
    ([output("a", value=0)], True),
    ([output("a", value="")], True),
    ([output("a", value=["x"])], True),
    ([output("a")], False),
    *(([output("a", status)], False) for status in ("SKIPPED", "FAILED", "CANCELLED")),
    *(([output("a", status)], None) for status in ("IN QUEUE", "IN PROGRESS", "PENDING REVIEW", "")),
    ([output("a", value=1), output("a", "IN PROGRESS", number=2)], None),
    ([output("a", "FAILED"), output("a", "IN QUEUE", number=2)], None),
    ([output("a", "FAILED"), output("a", value=1, number=2)], True),
    ([output("a", value=1), output("a", "SKIPPED", number=2)], True),
    ([{**output("a", "IN PROGRESS"), "value": 1}], None),
    ([{**output("a", "FAILED"), "value": 1}], False),
    ([{**output("a"), "value": None}], False),
]


@pytest.mark.parametrize(("rows", "state"), STATES_OF_A_CONVERSATION)
def test_a_metric_of_a_conversation_is_awaited_until_its_status_is_final(rows, state):
    assert coval_wait("a").states(rows) == {"a": state}


@pytest.mark.parametrize("wait", [roark_wait, coval_wait])
@pytest.mark.parametrize(
    ("states", "over"),
    [
        ({"a": True, "b": True}, dict.fromkeys(CHOICES, True)),
        ({"a": True, "b": None}, dict.fromkeys(CHOICES, False)),
        ({"a": None, "b": None}, dict.fromkeys(CHOICES, False)),
        ({"a": True, "b": False}, dict.fromkeys(CHOICES, True)),
        ({"a": False, "b": False}, dict.fromkeys(CHOICES, True)),
        ({"a": None, "b": False}, {"succeed": False, "fail": True, "skip": True}),
    ],
)
def test_a_missing_value_ends_a_wait_at_once_unless_it_is_welcome(wait, states, over):
    decided = {choice: wait("a", "b", on_missing_value=choice).is_over(states) for choice in CHOICES}
    assert decided == over


def test_metrics_that_nobody_waits_for_neither_end_a_wait_nor_are_given():
    a, b = chat_metric("a", 1), chat_metric("b", None)
    assert roark_wait("a").met_by([b]) is None
    assert roark_wait("a").met_by([b, a]) == [a]
    a, b = output("a", value=1), output("b", "FAILED")
    assert coval_wait("a").met_by([b]) is None
    assert coval_wait("a").met_by([b, a]) == [a]


def test_a_first_wave_does_not_end_a_wait_for_the_second():
    text, audio = output("text", value="ok"), output("audio", value=1)
    wait = coval_wait("text", "audio", on_missing_value="succeed")
    assert wait.met_by([text]) is None
    assert wait.met_by([text, output("audio", "IN QUEUE")]) is None
    assert wait.met_by([text, audio]) == [text, audio]


def test_what_is_no_metric_does_not_disturb_a_wait():
    assert roark_wait("a").met_by([{}, {"slug": None, "values": []}, chat_metric("a", 1)])


KINDS = {
    "roark": (
        roark_wait,
        st.lists(
            st.builds(
                lambda slug, values: chat_metric(slug, *values),
                st.sampled_from("abc"),
                st.lists(st.sampled_from([None, 0, 1]), min_size=1, max_size=2),
            ),
            max_size=4,
        ),
    ),
    "coval": (
        coval_wait,
        st.lists(
            st.builds(
                output,
                st.sampled_from("abc"),
                st.sampled_from(["IN QUEUE", "IN PROGRESS", "COMPLETED", "SKIPPED", "FAILED", "NEW"]),
                st.sampled_from([None, 0, "x"]),
            ),
            max_size=5,
        ),
    ),
}
names = st.sets(st.sampled_from("abc"), min_size=1)


@pytest.mark.parametrize("kind", KINDS)
@given(st.data(), names, st.sampled_from(CHOICES))
def test_the_order_of_the_answer_does_not_matter(kind, data, wanted, choice):
    wait, rows = KINDS[kind]
    condition = wait(*wanted, on_missing_value=choice)
    there = data.draw(rows)
    shuffled = data.draw(st.permutations(there))
    assert condition.states(row for row in there if name_of(row) in wanted) == condition.states(
        row for row in shuffled if name_of(row) in wanted
    )
    assert (condition.met_by(there) is None) == (condition.met_by(shuffled) is None)


@pytest.mark.parametrize("kind", KINDS)
@given(st.data(), names, st.sampled_from(CHOICES))
def test_a_wait_that_is_over_gives_just_the_rows_that_were_waited_for(kind, data, wanted, choice):
    wait, rows = KINDS[kind]
    there = data.draw(rows)
    found = wait(*wanted, on_missing_value=choice).met_by(there)
    if found is not None:
        assert found == [row for row in there if name_of(row) in wanted]
        assert found
    if choice == "succeed" and found is not None:
        assert {name_of(row) for row in found} == wanted


@pytest.mark.parametrize("kind", KINDS)
@given(st.data(), names, st.sampled_from(CHOICES))
def test_a_condition_made_again_from_its_json_decides_the_same(kind, data, wanted, choice):
    wait, rows = KINDS[kind]
    condition = wait(*wanted, on_missing_value=choice)
    again = type(condition).check(json.loads(json.dumps(condition.to_json())))
    there = data.draw(rows)
    assert again == condition
    assert again.met_by(there) == condition.met_by(there)


def name_of(row):
    return row.get("slug") or row["metric_id"]


def test_a_condition_is_json_with_the_names_in_a_stable_order():
    assert roark_wait("b", "a", "b").to_json() == {
        "chat_id": CHAT,
        "slugs": ["a", "b"],
        "on_missing_value": "fail",
    }
    assert coval_wait("b", "a", on_missing_value="skip").to_json() == {
        "conversation_id": CONVERSATION,
        "metric_ids": ["a", "b"],
        "on_missing_value": "skip",
    }


BAD_NAMES = ["a", b"a", [], None, 5, [""], ["a", None], ["x" * 256]]


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_a_wait_names_what_it_expects(bad):
    with pytest.raises(InvalidMetricError) as caught:
        ChatMetricsCondition.check({"chat_id": CHAT, "slugs": bad})
    assert [error.field for error in caught.value.errors] == ["slugs"]
    with pytest.raises(InvalidMetricError) as caught:
        ConversationMetricsCondition.check({"conversation_id": CONVERSATION, "metric_ids": bad})
    assert [error.field for error in caught.value.errors] == ["metric_ids"]


@pytest.mark.parametrize("missing", [{"slugs": ["a"]}, {"chat_id": CHAT}])
def test_nothing_that_a_wait_needs_may_be_left_out(missing):
    with pytest.raises(InvalidMetricError, match="required"):
        ChatMetricsCondition.check(missing)


@pytest.mark.parametrize("choice", ["wait", "", None, True, "Fail"])
def test_a_wait_knows_three_ways_to_take_a_missing_value(choice):
    for wait in (roark_wait, coval_wait):
        with pytest.raises(InvalidMetricError, match="one of succeed, fail, skip"):
            wait("a", on_missing_value=choice)


@pytest.mark.parametrize("chat_id", ["", "a/b", "..", "a b", "a?b", "ä", "x" * 65, 5, None, "a\n"])
def test_the_id_of_a_chat_can_only_be_one_part_of_a_path(chat_id):
    with pytest.raises(InvalidMetricError, match="an id of 1 to 64 letters, digits, - and _"):
        roark_wait("a", chat_id=chat_id)


@pytest.mark.parametrize(
    "conversation_id", ["", "x" * 21, "x" * 27, "x" * 21 + "/", "." * 22, "ä" * 22, 5, None, "x" * 22 + "\n"]
)
def test_the_id_of_a_conversation_has_22_to_26_characters(conversation_id):
    with pytest.raises(InvalidMetricError, match="an id of 22 to 26 letters, digits, - and _"):
        coval_wait("a", conversation_id=conversation_id)


@pytest.mark.parametrize("length", [22, 23, 26])
def test_an_id_of_the_right_length_is_taken(length):
    assert coval_wait("a", conversation_id="x" * length)
