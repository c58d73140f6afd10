"""Let one DAG's submit start another DAG, and let a change in Zelto start a third one."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

# [START imports]
from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias, Param, task

from airflow_provider_zelto.operators.zelto import SubmitCustomerMetricOperator
from airflow_provider_zelto.triggers.zelto_events import CustomerMetricsEventTrigger

# [END imports]

CALL = "6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21"


def example_event_submit() -> DAG:
    """Make the DAG whose submit is an asset event."""
    params = {"conversation_id": Param(CALL, type="string", format="uuid", title="Conversation id")}
    with DAG("example_event_submit", schedule=None, params=params, tags=["zelto", "example"]) as dag:
        # [START submit]
        SubmitCustomerMetricOperator(
            task_id="submit",
            conversation_id="{{ params.conversation_id }}",
            label="Compliance Check",
            score=60,
            verdict="fail",
            outlets=[AssetAlias("evaluated-calls")],
        )
        # [END submit]
    return dag


def example_event_report() -> DAG:
    """Make the DAG that runs whenever a call was evaluated."""
    # [START report]
    with DAG(
        "example_event_report",
        schedule=[AssetAlias("evaluated-calls")],
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        tags=["zelto", "example"],
    ) as dag:

        @task
        def report(**context: Any) -> list[str]:
            """Name the metrics that started this run."""
            # Airflow 2 says dataset for asset.
            events = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
            return [
                f"{event.extra['label']}: {event.extra['verdict']}, score {event.extra['score']}"
                for source, of_one_call in events.items()
                if not isinstance(source, AssetAlias)  # Airflow 3 lists an event by its alias once more
                for event in of_one_call
            ]

        report()
    # [END report]
    return dag


def example_event_driven() -> DAG:
    """Make the DAG that runs whenever a reviewer's metric of a call appears or changes in Zelto."""
    # [START watch]
    from airflow.sdk import AssetWatcher

    trigger = CustomerMetricsEventTrigger(
        conversation_id="6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21", labels=["Human review"], poke_interval=10
    )
    reviews = Asset("human-reviews", watchers=[AssetWatcher(name="zelto", trigger=trigger)])

    with DAG(
        "example_event_driven",
        schedule=[reviews],
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        tags=["zelto", "example"],
    ) as dag:

        @task
        def tell(**context: Any) -> list[str]:
            """Say what the reviewers found."""
            return [
                f"{metric['conversationId']}: {metric.get('verdict')}"
                for events in context["triggering_asset_events"].values()
                for event in events
                for metric in event.extra["payload"]["metrics"]
            ]

        tell()
    # [END watch]
    return dag


submit_dag = example_event_submit()
report_dag = example_event_report()
if find_spec("airflow.sdk"):  # Airflow 2 has no asset watchers
    watch_dag = example_event_driven()
