"""Tasks that tell Airflow which calls they changed, in every way."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, AssetAlias, task

from airflow_provider_zelto.assets import call_asset
from airflow_provider_zelto.operators.zelto import (
    BulkSubmitCustomerMetricsOperator,
    SubmitCustomerMetricOperator,
)

CALL = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
OTHER_CALL = "2b9e6a54-7f13-4d0c-8a65-91c3d7e0b842"
UNKNOWN_CALL = "00000000-0000-4000-8000-000000000000"

with DAG("zelto_assets", schedule=None, params={"conversation_id": CALL}) as dag:
    SubmitCustomerMetricOperator(
        task_id="asset", conversation_id=CALL, label="asset", score=1, outlets=[call_asset(CALL.upper())]
    )
    SubmitCustomerMetricOperator(
        task_id="alias",
        conversation_id="{{ params.conversation_id }}",
        label="alias",
        verdict="fail",
        note="never in an event",
        outlets=[AssetAlias("scored calls")],
    )
    SubmitCustomerMetricOperator(
        task_id="another_asset", conversation_id=CALL, label="b", score=1, outlets=[call_asset(OTHER_CALL)]
    )
    BulkSubmitCustomerMetricsOperator(
        task_id="bulk",
        metrics=[
            {"conversation_id": call, "label": label, "score": 1}
            for call in (CALL, OTHER_CALL, UNKNOWN_CALL)
            for label in ("x", "y")
        ],
        max_rejects=None,
        outlets=[AssetAlias("scored calls")],
    )
    SubmitCustomerMetricOperator(
        task_id="fails",
        conversation_id=UNKNOWN_CALL,
        label="a",
        score=1,
        outlets=[AssetAlias("scored calls"), call_asset(UNKNOWN_CALL)],
    )

    @task.zelto_metric(conversation_id=CALL, outlets=[AssetAlias("scored calls")])
    def decorated() -> list[dict[str, object]]:
        return [{"label": "d1", "score": 1}, {"label": "d2", "score": 2}]

    decorated()
