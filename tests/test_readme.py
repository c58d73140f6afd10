from __future__ import annotations

import importlib
import re
from importlib.metadata import metadata

import pytest
from packaging.version import Version

from tests.docs.papers import ROOT, code_blocks, dag_of_file
from tests.packaging.matrix import supported

README = ROOT / "README.md"
TEXT = README.read_text()
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


def test_the_dag_is_short():
    [code] = code_blocks(README, "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 20


def _is_public(name):
    modules = [importlib.import_module(f"airflow_provider_zelto.{module}") for module in _MODULES]
    return any(hasattr(module, name) for module in modules)


@pytest.mark.parametrize(
    "name", sorted({*re.findall(r"`(\w+(?:Operator|Sensor|Hook|Error)|Emulator)`", TEXT)})
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
