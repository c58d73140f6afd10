from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException

from airflow_provider_zelto.triggers import zelto_events
from airflow_provider_zelto.triggers.zelto_events import CustomerMetricsEventTrigger
from tests.answers import CALL


def test_an_airflow_without_watchers_is_told_which_version_it_takes(monkeypatch):
    monkeypatch.setattr(zelto_events, "BaseEventTrigger", zelto_events.BaseTrigger)
    with pytest.raises(
        AirflowOptionalProviderFeatureException, match=r"needs Airflow 3\.0 or newer, this is \d"
    ):
        CustomerMetricsEventTrigger(conversation_id=CALL)
