"""A task whose own delay between retries is far too long, unless its retry policy knows better."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, AirflowOptionalProviderFeatureException

from airflow_provider_zelto.operators.zelto import ListCustomerMetricsOperator
from airflow_provider_zelto.retry_policy import zelto_retry_policy

try:
    policy = {"retry_policy": zelto_retry_policy()}
except AirflowOptionalProviderFeatureException:
    policy = {}

with DAG("zelto_retries", schedule=None, params={"conversation_id": ""}) as dag:
    ListCustomerMetricsOperator(
        task_id="list",
        conversation_id="{{ params.conversation_id }}",
        retries=2,
        retry_delay=timedelta(hours=1),
        **policy,
    )
