"""A retry policy, as the page on reliability shows it."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import dag

from airflow_provider_zelto.operators.zelto import ListCustomerMetricsOperator
from airflow_provider_zelto.retry_policy import zelto_retry_policy

CALL = "6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21"


@dag(schedule=None)
def patient():
    # [START policy]
    ListCustomerMetricsOperator(
        task_id="list",
        conversation_id=CALL,
        retries=5,
        retry_delay=timedelta(minutes=5),
        retry_policy=zelto_retry_policy(),
    )
    # [END policy]


patient()
