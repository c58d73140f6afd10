from __future__ import annotations

import importlib
import re
from importlib.metadata import metadata

import pytest
from packaging.version import Version

from airflow_provider_zelto.exceptions import InvalidMetricError
from tests.docs.papers import ROOT, code_blocks, dag_of_file
from tests.packaging.matrix import supported

README = ROOT / "README.md"
TEXT = README.read_text()
QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text()
INDEX = (ROOT / "docs" / "index.md").read_text()
CALL = "6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21"

_MODULES = (
    "operators.roark",
    "operators.coval",
    "sensors.roark",
    "sensors.coval",
    "transfers.roark_to_zelto",
    "transfers.coval_to_zelto",
    "operators.zelto",
    "sensors.zelto",
    "transfers.sql_to_zelto",
    "hooks.zelto",
    "triggers.zelto_events",
    "assets",
    "emulator",
    "exceptions",
)


def test_the_dag_runs_as_it_stands(emulator, run_dag, tmp_path, monkeypatch):
    [code] = code_blocks(README, "python")
    file = tmp_path / "first_zelto_dag.py"
    file.write_text(code)
    emulator.add_conversation(CALL)
    run = run_dag(dag_of_file(file, "first_zelto_dag", monkeypatch))
    assert run.states == {"submit": "success", "wait": "success", "list": "success"}
    [metric] = emulator.metrics(CALL)
    assert (metric["label"], metric["score"], metric["verdict"]) == ("Compliance Check", 92, "pass")


@pytest.fixture
def run_first_dag(emulator, run_dag, tmp_path, monkeypatch):
    """Run the DAG as somebody who plays with it."""
    emulator.settings(any_conversation=True)
    file = tmp_path / "first_zelto_dag.py"

    def run(change=("", ""), **params):
        file.write_text(code_blocks(README, "python")[0].replace(*change))
        return run_dag(dag_of_file(file, "first_zelto_dag", monkeypatch), **params)

    return run


def test_a_bad_score_is_an_import_error_as_the_quickstart_says(run_first_dag):
    with pytest.raises(InvalidMetricError) as caught:
        run_first_dag(("score=92", "score=500"))
    assert f"{InvalidMetricError.__module__}.InvalidMetricError: {caught.value}\n" in QUICKSTART


def test_the_other_failures_of_the_quickstart_happen(run_first_dag, emulator, connect):
    assert run_first_dag(conversation_id="6f2d").states["submit"] == "failed"
    assert emulator.journal() == []
    emulator.fault(status=503, count=2)
    assert run_first_dag().state == "success"
    assert [entry["status"] for entry in emulator.journal()][:3] == [503, 503, 201]
    connect(emulator.url, password="another")
    assert run_first_dag().states["submit"] == "failed"
    assert emulator.journal()[-1]["status"] == 401


def test_the_dag_is_short():
    [code] = code_blocks(README, "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 20


def _is_public(name):
    modules = [importlib.import_module(f"airflow_provider_zelto.{module}") for module in _MODULES]
    return any(hasattr(module, name) for module in modules)


@pytest.mark.parametrize(
    "name",
    sorted({*re.findall(r"`(\w+(?:Operator|Sensor|Trigger|Hook|Error)|Emulator|call_asset)`", TEXT + INDEX)}),
)
def test_what_it_recommends_exists(name):
    assert _is_public(name) or name in ("HttpOperator", "HttpSensor")


@pytest.mark.parametrize("extra", sorted({*re.findall(r"airflow-provider-zelto\[([\w,]+)\]", TEXT)}))
def test_the_extras_it_names_exist(extra):
    assert {*extra.split(",")} <= {*(metadata("airflow-provider-zelto").get_all("Provides-Extra") or ())}


def test_the_versions_it_promises_are_those_that_are_tested():
    airflows = [airflow.rpartition(".")[0] for airflow in supported()]
    pythons = sorted(supported().values(), key=Version)
    assert f"Airflow {airflows[0]} to {airflows[-1]} and Python {pythons[0]} to {pythons[-1]}" in TEXT


def test_it_fits_one_screen_and_a_half():
    lines = TEXT.splitlines()
    assert len(lines) <= 100
    assert [line for line in lines if len(line) > 110 and not line.startswith(("|", "export "))] == []
