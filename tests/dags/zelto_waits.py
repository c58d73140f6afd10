"""The same waits in each way a sensor can wait: a slow metric, a refused key, a key refused softly."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor
from tests.conftest import AIRFLOW_VERSION
from tests.sensors import waiting

# Templates are rendered in a triggerer only since Airflow 3.3.
MODES = {
    **(waiting.CALL_MODES if AIRFLOW_VERSION >= (3, 3) else waiting.MODES),
    "ended": {"end_from_trigger": True},
}

with DAG(
    "zelto_waits",
    schedule=None,
    params={"conversation_id": ""},
    default_args={"retries": 2, "retry_delay": timedelta(0), "poke_interval": 0.1, "timeout": 60},
) as dag:
    before = None
    for name, options in MODES.items():
        wait = {"conversation_id": "{{ params.conversation_id }}", **options}
        slow = CustomerMetricsSensor(
            task_id=f"{name}_slow",
            labels=["Slow for {{ ti.task_id.removesuffix('_slow') }}"],
            updated_after="{{ data_interval_start }}",
            **wait,
        )
        CustomerMetricsSensor(task_id=f"{name}_refused", zelto_conn_id="zelto_refused", **wait)
        CustomerMetricsSensor(task_id=f"{name}_soft", zelto_conn_id="zelto_refused", soft_fail=True, **wait)
        if before:
            before >> slow
        before = slow
