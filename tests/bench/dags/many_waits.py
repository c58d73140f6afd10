"""A sensor of each side, to be run once for each call: the run's id is the call's."""

from __future__ import annotations

import os
from typing import Any

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.http.sensors.http import HttpSensor

from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor

_SENSOR: dict[str, Any] = {
    "task_id": "wait",
    "poke_interval": float(os.environ["BENCH_POKE_INTERVAL"]),
    "deferrable": True,
}

with DAG("many_customer_metrics_sensors", schedule=None) as many_customer_metrics_sensors:
    CustomerMetricsSensor(conversation_id="{{ run_id }}", labels=["Tone"], **_SENSOR)

with DAG("many_http_sensors", schedule=None) as many_http_sensors:
    # It waits on a 404 alone, which the benchmarks' server gives for what is not a call.
    HttpSensor(endpoint="unknown/{{ run_id }}/customer-metrics", **_SENSOR)
