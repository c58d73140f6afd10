"""Publish a model of a voice agent only if the calls that it handled were good enough."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

# [START imports]
from airflow.providers.common.compat.sdk import Param, dag, task

from airflow_provider_zelto.operators.zelto import (
    CustomerMetricsCheckOperator,
    ListCustomerMetricsOperator,
)

# [END imports]


@dag(
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "conversation_ids": Param(
            ["6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21"],
            type="array",
            items={"type": "string", "format": "uuid"},
            title="Conversation ids",
            description="The calls whose metrics decide.",
        ),
        "min_pass_rate": Param(0.9, type="number", minimum=0, maximum=1, title="Lowest pass rate"),
    },
    tags=["zelto", "example"],
    doc_md=__doc__,
)
def example_quality_gate() -> None:
    @task
    def find_calls(params: Any = None) -> list[str]:
        """Choose the calls."""
        return [str(call) for call in params["conversation_ids"]]

    calls = find_calls()

    # [START gate]
    gate = CustomerMetricsCheckOperator(
        task_id="gate",
        conversation_ids=calls,
        label="Compliance Check",
        min_pass_rate="{{ params.min_pass_rate }}",
        min_mean_score=70,
        min_coverage=0.95,
    )

    @task
    def publish() -> str:
        """Let the model take calls."""
        return "published"

    gate >> publish()
    # [END gate]

    # [START report]
    @task(trigger_rule="all_done")
    def report(judged: dict[str, Any]) -> str:
        """Tell people what was decided and why, whichever way it went."""
        missed = [told["condition"] for told in judged["conditions"] if not told["holds"]]
        return f"{judged['samples']} metrics; missed: {', '.join(missed) or 'nothing'}"

    report(gate.output)
    # [END report]

    # [START skip]
    listed = ListCustomerMetricsOperator.partial(task_id="list").expand(conversation_id=calls)
    praise = CustomerMetricsCheckOperator(
        task_id="praise",
        metrics=listed.output,
        expected_calls=calls,
        label="Compliance Check",
        min_score=95,
        on_failure="skip",
    )

    @task
    def send_praise(judged: dict[str, Any]) -> str:
        """Thank the team; this is skipped unless every call was excellent."""
        return f"{judged['samples']} calls out of {judged['calls']} were excellent"

    send_praise(praise.output)
    # [END skip]


example_quality_gate()
