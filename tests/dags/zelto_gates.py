"""Quality gates in every way that a DAG can use them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_zelto.operators.zelto import (
    CustomerMetricsCheckOperator,
    ListCustomerMetricsOperator,
    SubmitCustomerMetricOperator,
)
from airflow_provider_zelto.sensors.zelto import CustomerMetricsCoverageSensor

with DAG(
    "zelto_gates",
    schedule=None,
    params={"calls": [], "floor": 50, "folder": ""},
    default_args={"retries": 2, "retry_delay": timedelta(0)},
) as dag:

    @task
    def calls(params: Any = None) -> list[str]:
        return list(params["calls"])

    @task
    def go_on() -> str:
        return "went on"

    ids = calls()
    submit = SubmitCustomerMetricOperator(
        task_id="submit", conversation_id="{{ params.calls[0] }}", label="Tone", verdict="pass", score=80
    )
    wait = CustomerMetricsCoverageSensor(
        task_id="wait", conversation_ids=ids, min_coverage="{{ 1 / 2 }}", deferrable=True, poke_interval=0.1
    )
    listed = ListCustomerMetricsOperator.partial(task_id="listed").expand(conversation_id=ids)
    submit >> wait >> listed

    of_one = CustomerMetricsCheckOperator(
        task_id="of_one", metrics=submit.output, min_score="{{ params.floor }}"
    )
    of_mapped = CustomerMetricsCheckOperator(
        task_id="of_mapped",
        metrics=listed.output,
        expected_calls=ids,
        min_pass_rate=0.5,
        label="{{ 'Tone' }}",
    )
    of_calls = CustomerMetricsCheckOperator(
        task_id="of_calls", conversation_ids=ids, min_mean_score=50, labels=["{{ 'Tone' }}"]
    )
    of_a_file = CustomerMetricsCheckOperator(
        task_id="of_a_file", conversation_ids="file://{{ params.folder }}/calls.txt", max_fail_count=1
    )
    [submit, wait] >> of_calls
    wait >> of_a_file

    fails = CustomerMetricsCheckOperator(task_id="fails", metrics=submit.output, min_score=81)
    skips = CustomerMetricsCheckOperator(
        task_id="skips", metrics=submit.output, min_score=81, on_failure="skip"
    )
    for gate in (of_one, of_mapped, of_calls, of_a_file, fails, skips):
        after = go_on.override(task_id=f"after_{gate.task_id}")()
        gate >> after
