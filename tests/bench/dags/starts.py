"""As many waits in one run as the environment says, in each of the ways that are compared."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.http.sensors.http import HttpSensor

from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor

CALLS = [str(UUID(int=number)) for number in range(1, int(os.environ["BENCH_WAITS"]) + 1)]
_WAYS: dict[str, dict[str, Any]] = {
    "starts_deferrable": {"deferrable": True},
    "starts_no_worker": {"start_from_trigger": True, "end_from_trigger": True},
}


def make_dag(dag_id: str) -> DAG:
    interval = float(os.environ["BENCH_POKE_INTERVAL"])
    return DAG(dag_id, schedule=None, max_active_tasks=2000, default_args={"poke_interval": interval})


for _dag_id, _way in _WAYS.items():
    with make_dag(_dag_id) as _dag:
        for _number, _call in enumerate(CALLS):
            CustomerMetricsSensor(task_id=f"wait_{_number}", conversation_id=_call, labels=["Tone"], **_way)
    globals()[_dag_id] = _dag

with make_dag("starts_http_sensor") as starts_http_sensor:
    for _number, _call in enumerate(CALLS):
        HttpSensor(
            task_id=f"wait_{_number}",
            endpoint=f"v1/conversations/{_call}/customer-metrics",
            deferrable=True,
        )
