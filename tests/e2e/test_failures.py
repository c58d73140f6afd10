from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_provider_zelto.emulator import Emulator
from tests.e2e.conftest import KEY, WRONG_KEY
from tests.e2e.runs import Run

_MISSING = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def failed(trigger: Callable[..., Run], zelto: Emulator) -> Run:
    run = trigger("e2e_failures", conversation_id=zelto.add_conversation(), missing_id=_MISSING, score=500)
    run.end()
    return run


@pytest.mark.parametrize(
    ("task_id", "tries", "words"),
    [
        ("wrong_key", 1, ["AuthenticationError", "401", "Put a valid API key into the password field"]),
        (
            "wrong_key_of_a_wait",
            1,
            ["AuthenticationError", "401", "Put a valid API key into the password field"],
        ),
        ("missing_call", 3, ["NotFoundError", "404", _MISSING, "has no such call"]),
        ("bad_score", 1, ["InvalidMetricError", "score: '500' is not a number from 0 to 100"]),
        ("bad_call_id", 1, ["InvalidMetricError", "conversation_id: '500' is not a UUID"]),
        ("bad_template", 3, ["UndefinedError", "nothing"]),
        ("no_connection", 3, ["AirflowNotFoundException", "zelto_nowhere"]),
    ],
)
def test_a_failure_says_what_to_do_and_is_retried_where_that_can_help(
    failed: Run, task_id: str, tries: int, words: list[str]
) -> None:
    instance = failed.instance(task_id)
    assert (instance["state"], instance["try_number"]) == ("failed", tries)
    last_words = failed.last_words(task_id, attempt=tries)
    for word in words:
        assert word in last_words


def test_a_run_with_failures_has_failed_and_no_log_shows_a_key(failed: Run) -> None:
    assert failed.state() == "failed"
    for instance in failed.instances():
        for attempt in range(1, instance["try_number"] + 1):
            log = str(failed.log(instance["task_id"], attempt=attempt))
            assert KEY not in log
            assert WRONG_KEY not in log
