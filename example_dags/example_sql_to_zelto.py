"""Submit the scores that a query finds in any database Airflow has a connection to."""

from __future__ import annotations

from datetime import timedelta

# [START imports]
from airflow.providers.common.compat.sdk import Param, dag

from airflow_provider_zelto.transfers.sql_to_zelto import SqlToZeltoOperator

# [END imports]


@dag(
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "sql_conn_id": Param("warehouse", type="string", title="Connection of the database"),
        "lowest_score": Param(0, type="integer", minimum=0, maximum=100, title="Lowest score to submit"),
    },
    render_template_as_native_obj=True,
    tags=["zelto", "example"],
    doc_md=__doc__,
)
def example_sql_to_zelto() -> None:
    # [START sql]
    SqlToZeltoOperator(
        task_id="submit_scores",
        sql_conn_id="{{ params.sql_conn_id }}",
        sql="""
            SELECT call_id     AS conversation_id,
                   check_name  AS label,
                   points      AS score,
                   explanation AS note
              FROM call_scores
             WHERE points >= {{ params.lowest_score }}
             ORDER BY call_id, check_name
        """,
        max_requests_per_second=100,
    )
    # [END sql]


example_sql_to_zelto()
