from __future__ import annotations

from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException

from tests.conftest import AIRFLOW_VERSION
from tests.docs.papers import dag_of_file

RETRIES = Path(__file__).parent / "dags" / "retries.py"


def test_the_policy_retries_after_what_zelto_asked_for(emulator, connect, run_dag, monkeypatch):
    if AIRFLOW_VERSION < (3, 3):
        with pytest.raises(AirflowOptionalProviderFeatureException):
            dag_of_file(RETRIES, "patient", monkeypatch)
        return
    emulator.add_conversation("6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21")
    connect(emulator.url, extra={"max_retries": 0})
    emulator.fault(status=503, retry_after=1, count=1)
    run = run_dag(dag_of_file(RETRIES, "patient", monkeypatch))
    assert run.state == "success"
    assert [entry["status"] for entry in emulator.journal()] == [503, 200]
