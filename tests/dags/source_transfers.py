"""Pairs of calls to carry metrics for, given in every way in which a DAG can give them."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_zelto.transfers.coval_to_zelto import CovalToZeltoOperator
from airflow_provider_zelto.transfers.roark_to_zelto import RoarkToZeltoOperator

with DAG(
    "source_transfers",
    schedule=None,
    params={"roark": [], "coval": [], "mappings": {}},
    render_template_as_native_obj=True,
) as dag:

    @task
    def coval_pairs(params: Any = None) -> list[dict[str, str]]:
        return params["coval"]

    @task
    def roark_pair(number: int, params: Any = None) -> dict[str, str]:
        return params["roark"][number]

    pairs = coval_pairs()
    of_coval = "{{ params.mappings['coval'] }}"
    of_roark = "{{ params.mappings['roark'] }}"
    CovalToZeltoOperator(task_id="of_an_xcom", pairs=pairs, mappings=of_coval)
    CovalToZeltoOperator.partial(task_id="mapped", mappings=of_coval).expand_kwargs(pairs)
    RoarkToZeltoOperator(task_id="of_a_template", pairs="{{ params.roark }}", mappings=of_roark)
    RoarkToZeltoOperator(task_id="of_mapped_tasks", pairs=roark_pair.expand(number=[0, 1]), mappings=of_roark)
