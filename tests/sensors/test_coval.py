from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

from airflow_provider_zelto.exceptions import APIResponseValidationError, MissingValueError
from airflow_provider_zelto.sensors.coval import CovalConversationMetricsSensor
from tests.sensors.waiting import CALL_MODES, RUN
from tests.sources import CONVERSATION

pytest_plugins = ["tests.source_fixtures"]

METRIC = "29BlkepvvX19ebbLDB0y6Q"
OTHER = "mymKvEg6ZA65srXbTX5wSM"


def wait(mode, metric_ids=(METRIC,), **arguments):
    options = {"task_id": "wait", "poke_interval": 0.05, "timeout": 20, **CALL_MODES[mode], **arguments}
    sensor = CovalConversationMetricsSensor
    return RUN[mode](lambda: sensor(conversation_id=CONVERSATION, metric_ids=list(metric_ids), **options))


@pytest.fixture(autouse=True)
def conversation(coval):
    return coval.add_conversation(CONVERSATION)


@pytest.mark.parametrize("mode", CALL_MODES)
@pytest.mark.parametrize("status", ["SKIPPED", "FAILED", "CANCELLED", "COMPLETED"])
class TestWithoutAValue:
    def test_a_metric_fails_it(self, coval, mode, status):
        coval.add_metric_output(CONVERSATION, metric_id=METRIC, status=status)
        with pytest.raises(MissingValueError):
            wait(mode, [METRIC, OTHER])

    def test_a_metric_skips_it(self, coval, mode, status):
        coval.add_metric_output(CONVERSATION, metric_id=METRIC, status=status)
        with pytest.raises(AirflowSkipException):
            wait(mode, [METRIC, OTHER], on_missing_value="skip")

    def test_a_metric_may_do(self, coval, mode, status):
        coval.add_metric_output(CONVERSATION, metric_id=METRIC, status=status)
        (row,) = wait(mode, on_missing_value="succeed")
        assert (row["metric_id"], row["status"]) == (METRIC, status)


@pytest.mark.parametrize("mode", CALL_MODES)
def test_a_metric_is_awaited_from_the_queue_to_its_value(emulator, coval, mode):
    times = {"after": 0.05, "start_after": 0.15, "ready_after": 0.25}
    coval.add_metric_output(CONVERSATION, ["billing", "refund"], metric_id=METRIC, **times)
    (row,) = wait(mode)
    assert (row["status"], row["value"]) == ("COMPLETED", ["billing", "refund"])
    assert len(emulator.journal()) > 1


@pytest.mark.parametrize("mode", CALL_MODES)
def test_an_output_under_way_keeps_it_waiting_for_a_metric_that_has_a_value(emulator, coval, mode):
    coval.add_metric_output(CONVERSATION, 1, metric_id=METRIC)
    coval.add_metric_output(CONVERSATION, 2, metric_id=METRIC, ready_after=0.15)
    rows = wait(mode)
    assert sorted(row["value"] for row in rows) == [1, 2]
    assert len(emulator.journal()) > 1


@pytest.mark.parametrize("mode", CALL_MODES)
@pytest.mark.parametrize("status", ["IN QUEUE", "IN PROGRESS"])
def test_a_metric_that_is_never_computed_runs_into_the_timeout(coval, mode, status):
    coval.add_metric_output(CONVERSATION, metric_id=METRIC, status=status)
    with pytest.raises(AirflowSensorTimeout):
        wait(mode, timeout=0.15)


@pytest.mark.parametrize("mode", CALL_MODES)
def test_a_status_that_is_new_is_not_taken_for_the_end(emulator, coval, mode):
    row = {"metric_output_id": "o", "metric_id": METRIC, "status": "UNDER REVIEW", "value": 1}
    emulator.fault(body={"metrics": [row]}, count=2)
    coval.add_metric_output(CONVERSATION, 2, metric_id=METRIC)
    assert [row["value"] for row in wait(mode)] == [2]
    assert len(emulator.journal()) == 3


@pytest.mark.parametrize("mode", CALL_MODES)
def test_all_pages_are_read(emulator, coval, mode):
    page = {"metrics": [{"metric_output_id": "o", "metric_id": OTHER, "status": "COMPLETED", "value": 1}]}
    emulator.fault(body={**page, "next_page_token": "eyJvZmZzZXQiOiAxfQ=="}, count=1)
    last = {"metrics": [{"metric_output_id": "p", "metric_id": METRIC, "status": "COMPLETED", "value": 2}]}
    emulator.fault(body=last)
    assert {row["value"] for row in wait(mode, [METRIC, OTHER])} == {1, 2}
    assert len(emulator.journal()) == 2


@pytest.mark.parametrize("mode", CALL_MODES)
def test_pages_that_never_end_are_a_failure_like_others(emulator, coval, mode):
    emulator.fault(body={"metrics": [], "next_page_token": "again"})
    with pytest.raises(APIResponseValidationError, match="the same page token twice"):
        wait(mode, max_consecutive_failures=1)
