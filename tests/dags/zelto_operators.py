"""The operators in every way that a DAG can use them."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_zelto.operators.zelto import ListCustomerMetricsOperator, SubmitCustomerMetricOperator

CALL = "{{ params.conversation_id }}"

with DAG(
    "zelto_operators", schedule=None, params={"conversation_id": ""}, render_template_as_native_obj=False
) as dag:

    @task
    def score() -> dict[str, Any]:
        return {"label": "From XCom", "score": 0, "note": "None missed"}

    @task
    def rows() -> list[dict[str, Any]]:
        return [
            {"label": "Row 1", "score": 12.5},
            {"label": "Row 2", "verdict": "fail"},
        ]

    @task
    def labels() -> list[str]:
        return ["Label 1", "Label 2"]

    scored = score()
    from_xcom = SubmitCustomerMetricOperator(
        task_id="from_xcom",
        conversation_id=CALL,
        label=scored["label"],
        score=scored["score"],
        note=scored["note"],
    )
    from_jinja = SubmitCustomerMetricOperator(
        task_id="from_jinja",
        conversation_id=CALL,
        label="From {{ 'Jinja' }}",
        score="{{ 40 + 2 }}",
        verdict="{{ 'pass' if params.conversation_id else 'fail' }}",
        external_id="{{ ti.task_id }}",
        multiple_outputs=True,
    )
    of_rows = SubmitCustomerMetricOperator.partial(task_id="of_rows", conversation_id=CALL).expand_kwargs(
        rows()
    )
    of_labels = SubmitCustomerMetricOperator.partial(
        task_id="of_labels", conversation_id=CALL, verdict="pass", note="{{ ti.map_index }}"
    ).expand(label=labels())
    of_a_list = SubmitCustomerMetricOperator.partial(
        task_id="of_a_list", conversation_id=CALL, label="Replaced each time"
    ).expand(score=[100])
    listed = ListCustomerMetricsOperator(
        task_id="listed", conversation_id=CALL, labels=["Row 2", "{{ 'Label' }} 1", "Row 1"]
    )
    [from_xcom, from_jinja, of_rows, of_labels, of_a_list] >> listed
