"""Wait until Roark has evaluated a chat, carry its metrics into Zelto, and read what was carried."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

# [START imports]
from airflow.providers.common.compat.sdk import Param, dag, task

from airflow_provider_zelto.operators.roark import ListRoarkChatMetricsOperator
from airflow_provider_zelto.sensors.roark import RoarkChatMetricsSensor
from airflow_provider_zelto.transfers.roark_to_zelto import RoarkToZeltoOperator

# [END imports]

# [START mappings]
MAPPINGS = [
    # Stars, 1 to 5: a score, and 4 or more pass.
    {
        "source": "customer_satisfaction",
        "label": "Customer satisfaction",
        "score_range": (1, 5),
        "pass_when": {">=": 4},
    },
    # Fewer are better: none scores 100, ten or more score 0.
    {"source": "interruptions", "label": "Lets others finish", "score_range": (10, 0), "clamp": True},
    {"source": "issue_resolved", "label": "Issue resolved", "pass_when": True},
    # One value for each participant: the chat passes when all of them do.
    {"source": "tone", "label": "Tone", "pass_when": {"not_in": ["rude"]}, "aggregate": "all_pass"},
]
# [END mappings]


@dag(
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "chat_id": Param(
            "0d4f6c1e-5a57-4b8e-8f0a-3f1c9d2b7e64",
            type="string",
            title="Chat id",
            description="The chat in Roark.",
        ),
        "conversation_id": Param(
            "6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21",
            type="string",
            format="uuid",
            title="Conversation id",
            description="The same chat's call in Zelto.",
        ),
    },
    tags=["zelto", "roark", "example"],
    doc_md=__doc__,
)
def example_roark_to_zelto() -> None:
    # [START wait]
    wait = RoarkChatMetricsSensor(
        task_id="wait",
        chat_id="{{ params.chat_id }}",
        slugs=[mapping["source"] for mapping in MAPPINGS],
        # A metric that cannot be computed is no reason to leave the others behind.
        on_missing_value="succeed",
        deferrable=True,
        poke_interval=3,
        timeout=3600,
    )
    # [END wait]

    # [START list]
    listed = ListRoarkChatMetricsOperator(
        task_id="list", chat_id="{{ params.chat_id }}", flatten=True, status="all"
    )
    # [END list]

    # [START carry]
    carry = RoarkToZeltoOperator(
        task_id="carry",
        chat_id="{{ params.chat_id }}",
        conversation_id="{{ params.conversation_id }}",
        mappings=MAPPINGS,
    )
    # [END carry]

    # [START read]
    @task
    def report(rows: list[dict[str, Any]], carried: dict[str, Any]) -> dict[str, str]:
        """Say what Zelto holds now, and what could not be carried."""
        result = {
            metric["label"]: f"{metric.get('verdict') or ''} {metric.get('score', '')}".strip()
            for metric in carried["submitted"]
        }
        result |= {skipped["label"]: f"skipped: {skipped['reason']}" for skipped in carried["skipped"]}
        print(f"{len(rows)} values in Roark became: {result}")
        return result

    # [END read]

    wait >> [listed, carry]
    report(listed.output, carry.output)


example_roark_to_zelto()
