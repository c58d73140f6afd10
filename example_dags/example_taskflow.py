"""Evaluate a call with functions: what they return is submitted, and the stored metrics go on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

# [START imports]
from airflow.providers.common.compat.sdk import AirflowSkipException, Param, dag, task

# [END imports]

TRANSCRIPT = """\
Agent: Good morning, this is Dana at Northwind. This call is recorded.
Caller: Hi. I got the same invoice twice.
Agent: I am sorry about that. The second one was sent by mistake, I have cancelled it.
Caller: Perfect. Bye.
"""


@dag(
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "conversation_id": Param(
            "6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21",
            type="string",
            format="uuid",
            title="Conversation id",
            description="The call in Zelto that is evaluated.",
        )
    },
    tags=["zelto", "example"],
    doc_md=__doc__,
)
def example_taskflow() -> None:
    # [START dict]
    @task.zelto_metric(conversation_id="{{ params.conversation_id }}", label="Compliance Check")
    def compliance(transcript: str) -> dict[str, Any]:
        """Score the greeting, the announcement and the last question of the agent."""
        missing = [
            words for words in ("Good morning", "recorded", "anything else") if words not in transcript
        ]
        note = f"missing: {', '.join(missing)}" if missing else "complete"
        return {"score": 100 - 30 * len(missing), "verdict": len(missing) < 2, "note": note}

    # [END dict]

    # [START number]
    @task.zelto_metric(conversation_id="{{ params.conversation_id }}", label="Agent's share of words")
    def share_of_words(transcript: str) -> float:
        """Give the share in percent, which becomes the score."""
        agent = " ".join(line for line in transcript.splitlines() if line.startswith("Agent:"))
        return 100 * len(agent.split()) / len(transcript.split())

    # [END number]

    # [START verdict]
    @task.zelto_metric(conversation_id="{{ params.conversation_id }}", label="Refund offered")
    def refund_offered(transcript: str) -> bool:
        """Tell whether it was; a call without a complaint has no such metric."""
        if "invoice" not in transcript:
            raise AirflowSkipException("The call is not about an invoice.")
        return "cancelled" in transcript

    # [END verdict]

    # [START several]
    @task.zelto_metric(conversation_id="{{ params.conversation_id }}")
    def manners(transcript: str) -> list[dict[str, Any]]:
        """Judge several things in one go, each under its own label."""
        return [
            {"label": "Apology", "verdict": "sorry" in transcript},
            {"label": "Caller satisfied", "verdict": "Perfect" in transcript, "score": 90},
        ]

    # [END several]

    # [START mapped]
    @task
    def calls(params: Any = None) -> list[dict[str, str]]:
        """List the calls of the day with their transcripts."""
        return [{"id": params["conversation_id"], "transcript": TRANSCRIPT}]

    @task.zelto_metric(label="Number of lines")
    def number_of_lines(call: dict[str, str]) -> dict[str, Any]:
        """Bring the call's id along: each mapped task has a call of its own."""
        return {"conversation_id": call["id"], "score": len(call["transcript"].splitlines())}

    number_of_lines.expand(call=calls())
    # [END mapped]

    # [START next]
    @task
    def report(stored: dict[str, Any]) -> str:
        """Take the metric as Zelto stored it."""
        return f"{stored['label']}: {stored['verdict']}, score {stored['score']} ({stored['updatedAt']})"

    report(compliance(TRANSCRIPT))
    # [END next]
    share_of_words(TRANSCRIPT)
    refund_offered(TRANSCRIPT)
    manners(TRANSCRIPT)


example_taskflow()
