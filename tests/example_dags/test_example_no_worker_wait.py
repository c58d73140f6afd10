from __future__ import annotations

import pytest

from tests.conftest import AIRFLOW_VERSION

pytestmark = pytest.mark.skipif(AIRFLOW_VERSION < (3, 3), reason="such a wait needs Airflow 3.3")


def test_the_example_waits_for_what_it_submitted_and_reports_it(emulator, call, run_dag):
    from example_dags.example_no_worker_wait import example_no_worker_wait

    emulator.add_metric(call, "Compliance Check", score=1)
    emulator.fault(status=404, method="GET", count=1)
    run = run_dag(example_no_worker_wait(), conversation_id=call)
    assert run.state == "success"
    assert run.xcom("wait") == [run.xcom("submit")] == emulator.metrics(call)
    assert run.xcom("report") == {"Compliance Check": 92}
