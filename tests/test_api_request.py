from __future__ import annotations

from airflow_provider_zelto.api_request import pause_before_retry
from airflow_provider_zelto.exceptions import RateLimitError


def test_pauses_grow_and_are_spread_out(mocker):
    state = mocker.Mock(outcome=None)
    for attempt, longest in [(1, 0.5), (2, 1), (3, 2), (4, 4), (20, 30)]:
        state.attempt_number = attempt
        pauses = {pause_before_retry(state) for _ in range(50)}
        assert all(0 <= pause <= longest for pause in pauses)
        assert max(pauses) - min(pauses) > longest / 4


def test_whoever_was_told_to_wait_comes_back_a_little_later_than_the_others(mocker):
    error = RateLimitError("no", service="Zelto", method="GET", path="/", status_code=429, retry_after=7)
    state = mocker.Mock(**{"outcome.exception.return_value": error}, attempt_number=1)
    pauses = {pause_before_retry(state) for _ in range(20)}
    assert all(7 <= pause <= 7.5 for pause in pauses)
    assert len(pauses) > 1
