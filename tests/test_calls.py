from __future__ import annotations

from typing import Annotated
from uuid import UUID

import pytest
from pydantic import BeforeValidator

from airflow_provider_zelto.arguments import Arguments
from airflow_provider_zelto.calls import Calls, call_ids, read_calls
from airflow_provider_zelto.exceptions import InvalidMetricError
from tests.answers import CALL
from tests.object_store import memory_store

OTHER = str(UUID(int=1))


class Given(Arguments):
    conversation_ids: Annotated[Calls, BeforeValidator(call_ids(1))]


def test_ids_are_taken_in_any_spelling_and_once():
    assert call_ids(1)([CALL.upper(), CALL, UUID(CALL), OTHER]) == (CALL, OTHER)
    assert call_ids(1)(iter([CALL])) == (CALL,)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "a list of at least 1 call"),
        ([CALL, "x", 5], "2 of the ids are no UUIDs: 'x' (number 2), 5 (number 3)"),
        (["x"] * 9, "9 of the ids are no UUIDs"),
        ({"a": 1}, "a list of calls' UUIDs, or the URI of a text file"),
        (5, "a list of calls' UUIDs"),
        (None, "a list of calls' UUIDs"),
        (CALL, "render_template_as_native_obj=True"),
        (f"['{CALL}']", "render_template_as_native_obj=True"),
        ("", "render_template_as_native_obj=True"),
    ],
)
def test_what_names_no_calls_is_refused(given, words):
    with pytest.raises(InvalidMetricError) as caught:
        Given.check({"conversation_ids": given})
    [error] = caught.value.errors
    assert error.field == "conversation_ids"
    assert words in error.limit


def test_a_file_is_read_line_by_line():
    with memory_store() as store:
        store.pipe_file("bucket/calls.txt", f"{CALL.upper()}\n\n {OTHER} \r\n{CALL}\n".encode())
        assert read_calls("memory://bucket/calls.txt") == (CALL, OTHER)


@pytest.mark.parametrize(("content", "words"), [("", "at least 1 call"), ("x\n", "'x' (number 1)")])
def test_a_file_without_ids_is_refused(content, words):
    with memory_store() as store:
        store.pipe_file("bucket/calls.txt", content.encode())
        with pytest.raises(InvalidMetricError) as caught:
            read_calls("memory://bucket/calls.txt", minimum=1, field="expected_calls")
    assert str(caught.value).startswith("expected_calls: 'memory://bucket/calls.txt' is not ")
    assert words in str(caught.value)
