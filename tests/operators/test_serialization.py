from __future__ import annotations

import json

import pytest
from airflow.serialization import serialized_objects

from example_dags.example_coval_to_zelto import example_coval_to_zelto
from example_dags.example_roark_to_zelto import MAPPINGS, example_roark_to_zelto
from example_dags.example_zelto import example_zelto
from tests.dags import (
    source_transfers,
    zelto_assets,
    zelto_gates,
    zelto_links,
    zelto_operators,
    zelto_taskflow,
    zelto_waits,
)

# Airflow 3.2 renamed it.
DagSerialization = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG

DAGS = {
    "operators": lambda: zelto_operators.dag,
    "sensors": lambda: zelto_waits.dag,
    "decorator": lambda: zelto_taskflow.dag,
    "links": lambda: zelto_links.dag,
    "assets": lambda: zelto_assets.dag,
    "gates": lambda: zelto_gates.dag,
    "transfers": lambda: source_transfers.dag,
    "example": example_zelto,
    "example of roark": example_roark_to_zelto,
    "example of coval": example_coval_to_zelto,
}


def stored_and_loaded(dag):
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))


@pytest.mark.parametrize("make_dag", DAGS.values(), ids=DAGS)
def test_a_dag_of_ours_survives_being_stored_by_airflow(make_dag):
    dag = make_dag()
    loaded = stored_and_loaded(dag)
    assert loaded.task_dict.keys() == dag.task_dict.keys()
    for task_id, task in dag.task_dict.items():
        assert loaded.task_dict[task_id].upstream_task_ids == task.upstream_task_ids
        assert list(loaded.task_dict[task_id].template_fields) == list(task.template_fields)
        assert loaded.task_dict[task_id].label == task_id


def test_a_stored_submit_shows_its_templates_and_keeps_its_own_name():
    loaded = stored_and_loaded(zelto_operators.dag).task_dict["from_jinja"]
    assert loaded.label == "from_jinja"
    assert loaded.metric_label == "From {{ 'Jinja' }}"
    assert loaded.score == "{{ 40 + 2 }}"


def test_a_stored_sensor_shows_its_templates_and_how_it_waits():
    loaded = stored_and_loaded(zelto_waits.dag).task_dict["reschedule_slow"]
    assert loaded.labels == ["Slow for {{ ti.task_id.removesuffix('_slow') }}"]
    assert loaded.updated_after == "{{ data_interval_start }}"
    assert loaded.reschedule


def test_a_stored_transfer_shows_its_mappings_and_templates():
    loaded = stored_and_loaded(example_roark_to_zelto()).task_dict
    shown = [{**mapping} for mapping in loaded["carry"].mappings]
    assert json.loads(json.dumps(shown)) == json.loads(json.dumps(MAPPINGS))
    assert loaded["carry"].chat_id == "{{ params.chat_id }}"
    assert list(loaded["wait"].slugs) == [mapping["source"] for mapping in MAPPINGS]
