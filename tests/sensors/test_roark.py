from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

from airflow_provider_zelto.exceptions import MissingValueError
from airflow_provider_zelto.sensors.roark import RoarkChatMetricsSensor
from tests.sensors.waiting import CALL_MODES, RUN
from tests.sources import CHAT

pytest_plugins = ["tests.source_fixtures"]


def wait(mode, slugs=("csat",), **arguments):
    options = {"task_id": "wait", "poke_interval": 0.05, "timeout": 20, **CALL_MODES[mode], **arguments}
    return RUN[mode](lambda: RoarkChatMetricsSensor(chat_id=CHAT, slugs=list(slugs), **options))


@pytest.fixture(autouse=True)
def chat(roark):
    return roark.add_chat(CHAT)


@pytest.mark.parametrize("mode", CALL_MODES)
@pytest.mark.parametrize("status", ["NOT_APPLICABLE", "DATA_MISSING", "ERROR"])
class TestWithoutAValue:
    def test_a_metric_fails_it(self, roark, mode, status):
        roark.add_metric_value(CHAT, "csat", capture_status=status)
        with pytest.raises(MissingValueError):
            wait(mode, ["csat", "never"])

    def test_a_metric_skips_it(self, roark, mode, status):
        roark.add_metric_value(CHAT, "csat", capture_status=status)
        with pytest.raises(AirflowSkipException):
            wait(mode, ["csat", "never"], on_missing_value="skip")

    def test_a_metric_may_do(self, roark, mode, status):
        roark.add_metric_value(CHAT, "csat", capture_status=status)
        (metric,) = wait(mode, on_missing_value="succeed")
        assert [value["captureStatus"] for value in metric["values"]] == [status]


@pytest.mark.parametrize("mode", CALL_MODES)
def test_rows_without_a_value_are_asked_for_and_nothing_is_flattened(emulator, roark, mode):
    roark.add_metric_value(CHAT, "csat", 4)
    wait(mode)
    assert [entry["query"] for entry in emulator.journal()] == ["flatten=false&status=all"]


@pytest.mark.parametrize("mode", CALL_MODES)
def test_the_definitions_are_given_with_all_their_values(roark, mode):
    for role in ("agent", "customer"):
        roark.add_metric_value(CHAT, "tone", 1, participant_role=role)
    roark.add_metric_value(CHAT, "csat", 4, unit={"name": "points", "symbol": None})
    tone, csat = wait(mode, ["csat", "tone"])
    assert [value["participantRole"] for value in tone["values"]] == ["agent", "customer"]
    assert csat["unit"] == {"name": "points", "symbol": None}


@pytest.mark.parametrize("mode", CALL_MODES)
def test_a_metric_that_is_never_computed_runs_into_the_timeout(roark, mode):
    roark.add_metric_value(CHAT, "csat", 4)
    with pytest.raises(AirflowSensorTimeout):
        wait(mode, ["csat", "never"], timeout=0.15)
