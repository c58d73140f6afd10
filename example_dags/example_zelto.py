"""Score a call, submit the score to Zelto, wait until Zelto shows it, and hand on what Zelto holds."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

# [START imports]
from airflow.providers.common.compat.sdk import Param, dag, task

from airflow_provider_zelto.operators.zelto import ListCustomerMetricsOperator, SubmitCustomerMetricOperator
from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor

# [END imports]

TRANSCRIPT = """\
Agent: Good morning, this is Dana at Northwind. This call is recorded.
Caller: Hi. I got the same invoice twice.
Agent: I am sorry about that. Can you confirm your date of birth first?
Caller: The second of May 1990.
Agent: Thank you. The second invoice was sent by mistake, I have cancelled it.
Caller: Perfect. Bye.
"""

RULES = {
    "greets the caller": r"\bgood (morning|afternoon|evening)\b",
    "says that the call is recorded": r"\bcall is recorded\b",
    "checks who is calling": r"\bconfirm your\b",
    "asks whether anything is left": r"\banything else\b",
}
PASS_MARK = 70


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
            description="The call in Zelto that the score belongs to.",
        )
    },
    tags=["zelto", "example"],
    doc_md=__doc__,
)
def example_zelto() -> None:
    # [START score]
    @task(multiple_outputs=True)
    def score_call(transcript: str) -> dict[str, Any]:
        """Score how many of the rules the agent keeps."""
        agent = " ".join(line for line in transcript.splitlines() if line.startswith("Agent:"))
        missed = [rule for rule, pattern in RULES.items() if not re.search(pattern, agent, re.IGNORECASE)]
        score = round(100 * (1 - len(missed) / len(RULES)))
        return {
            "score": score,
            "verdict": "pass" if score >= PASS_MARK else "fail",
            "note": f"Missed: {', '.join(missed)}" if missed else "All rules kept",
        }

    scored = score_call(TRANSCRIPT)
    # [END score]

    # [START submit]
    submit = SubmitCustomerMetricOperator(
        task_id="submit",
        conversation_id="{{ params.conversation_id }}",
        label="Compliance Check",
        score=scored["score"],
        verdict=scored["verdict"],
        note=scored["note"],
    )
    # [END submit]

    # [START wait]
    wait = CustomerMetricsSensor(
        task_id="wait",
        conversation_id="{{ params.conversation_id }}",
        labels=["Compliance Check"],
        # Zelto's own time of the submit: an older metric does not end the wait, and no clocks are compared.
        updated_after="{{ ti.xcom_pull(task_ids='submit')['updatedAt'] }}",
        deferrable=True,
        poke_interval=3,
        timeout=600,
    )
    # [END wait]

    # [START list]
    listed = ListCustomerMetricsOperator(task_id="list", conversation_id="{{ params.conversation_id }}")
    # [END list]

    # [START hand_over]
    @task
    def report(metrics: list[dict[str, Any]]) -> dict[str, str]:
        """Give the verdict of each metric that the call has in Zelto."""
        verdicts = {metric["label"]: metric.get("verdict") or "none" for metric in metrics}
        for metric in metrics:
            print(f"{metric['label']}: {verdicts[metric['label']]}, score {metric.get('score')}")
        return verdicts

    submit >> wait >> listed
    report(listed.output)
    # [END hand_over]


example_zelto()
