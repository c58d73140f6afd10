"""Ways to submit, as the page on operators shows them."""

from __future__ import annotations

# [START imports]
from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_zelto.operators.zelto import ListCustomerMetricsOperator, SubmitCustomerMetricOperator

# [END imports]

CALL = "6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21"
OTHER_CALL = "2b9e6a54-7f13-4d0c-8a65-91c3d7e0b842"


@dag(schedule=None)
def mapped():
    # [START mapped]
    @task
    def score_calls():
        """Give the arguments of one submit for each call."""
        return [
            {"conversation_id": CALL, "score": 92, "verdict": "pass"},
            {"conversation_id": OTHER_CALL, "score": 40, "verdict": "fail"},
        ]

    SubmitCustomerMetricOperator.partial(task_id="submit", label="Compliance Check").expand_kwargs(
        score_calls()
    )
    # [END mapped]


@dag(schedule=None)
def one_value():
    # [START multiple_outputs]
    submit = SubmitCustomerMetricOperator(
        task_id="submit",
        conversation_id=CALL,
        label="Compliance Check",
        score=92,
        multiple_outputs=True,
    )

    @task
    def note_down(metric_id):
        """Keep the id that Zelto gave the metric."""
        return f"stored as {metric_id}"

    note_down(submit.output["id"])
    # [END multiple_outputs]


# [START native]
@dag(schedule=None, render_template_as_native_obj=True, params={"labels": ["Compliance Check"]})
def native():
    submit = SubmitCustomerMetricOperator(
        task_id="submit",
        conversation_id=CALL,
        label="Compliance Check",
        score=92,
        note="{{ dag_run.conf.get('note') }}",
    )
    submit >> ListCustomerMetricsOperator(task_id="list", conversation_id=CALL, labels="{{ params.labels }}")
    # [END native]


mapped()
one_value()
native()
