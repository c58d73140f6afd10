"""Wait until Coval has evaluated conversations, carry all their metrics at once, and read the summary."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

# [START imports]
from airflow.providers.common.compat.sdk import Param, dag, task

from airflow_provider_zelto.hooks.coval import coval_filter
from airflow_provider_zelto.operators.coval import ListCovalConversationMetricsOperator
from airflow_provider_zelto.sensors.coval import CovalConversationMetricsSensor
from airflow_provider_zelto.transfers.coval_to_zelto import CovalToZeltoOperator

# [END imports]

# [START mappings]
# Coval's rows carry no names, so metrics are told apart by their ids.
LATENCY = "29BlkepvvX19ebbLDB0y6Q"
SENTIMENT = "mymKvEg6ZA65srXbTX5wSM"
OUTCOME = "fstokU4ev5UmT8sUBexiwV"

MAPPINGS = [
    # Seconds, and less is better: 1 or less scores 100, 5 or more score 0.
    {"source": LATENCY, "label": "Latency", "score_range": (5, 1), "clamp": True},
    {"source": SENTIMENT, "label": "Sentiment", "pass_when": {"in": ["positive", "neutral"]}},
    {"source": OUTCOME, "label": "Outcome", "pass_when": {"==": "resolved"}},
]
# [END mappings]


@dag(
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "pairs": Param(
            [
                {
                    "coval_conversation_id": "4tTnQvpYxkZ0bUcWm7RdLs",
                    "conversation_id": "6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21",
                }
            ],
            type="array",
            title="Pairs",
            description="The conversations in Coval, each with the UUID of its call in Zelto.",
        ),
    },
    tags=["zelto", "coval", "example"],
    doc_md=__doc__,
)
def example_coval_to_zelto() -> None:
    # [START pairs]
    @task
    def find_pairs(params: Any = None) -> list[dict[str, str]]:
        """Say which conversation in Coval is which call in Zelto; here the params do."""
        pairs: list[dict[str, str]] = params["pairs"]
        return pairs

    @task
    def coval_ids(pairs: list[dict[str, str]]) -> list[str]:
        """Give the conversations to wait for."""
        return [pair["coval_conversation_id"] for pair in pairs]

    pairs = find_pairs()
    conversations = coval_ids(pairs)
    # [END pairs]

    # [START wait]
    wait = CovalConversationMetricsSensor.partial(
        task_id="wait",
        # Text metrics come first, audio metrics later: the wait names all that it expects.
        metric_ids=[LATENCY, SENTIMENT, OUTCOME],
        on_missing_value="succeed",
        deferrable=True,
        poke_interval=3,
        timeout=3600,
    ).expand(conversation_id=conversations)
    # [END wait]

    # [START list]
    listed = ListCovalConversationMetricsOperator.partial(
        task_id="list", filter=coval_filter(status="COMPLETED"), order_by="create_time"
    ).expand(conversation_id=conversations)
    # [END list]

    # [START carry]
    carry = CovalToZeltoOperator(task_id="carry", pairs=pairs, mappings=MAPPINGS, max_rejects=10)
    # [END carry]

    # [START read]
    @task
    def report(lists: list[list[dict[str, Any]]], carried: dict[str, Any]) -> str:
        """Sum up what was carried."""
        outputs = sum(map(len, lists))
        for reason in carried["skipped_because"]:
            print(f"{reason['label']}: {reason['reason']} ({reason['calls']} calls)")
        return (
            f"{outputs} outputs: {carried['submitted']} metrics submitted, {carried['skipped']} skipped, "
            f"{carried['rejected']} calls rejected"
        )

    # [END read]

    wait >> [listed, carry]
    report(listed.output, carry.output)


example_coval_to_zelto()
