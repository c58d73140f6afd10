"""Reading what the papers of the project show, and running it."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAPERS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_SET_FOR_ONE = re.compile(r"^(?:[A-Z_]+=\S+ )+")


def code_blocks(paper: Path, *languages: str) -> list[str]:
    """Give the code blocks of these languages, without their indentation."""
    found = _BLOCK.finditer(paper.read_text())
    return [
        re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        for match in found
        if match["language"] in languages
    ]


def commands(*starts: str) -> list[Any]:
    """Give the shell commands of all papers that start so, past variables, as parameters of a test."""
    return [
        pytest.param(line, id=f"{paper.name}: {line}")
        for paper in PAPERS
        for block in code_blocks(paper, "bash", "console")
        for words in map(str.strip, block.replace("\\\n", "").replace("$ ", "").splitlines())
        for line in [_SET_FOR_ONE.sub("", words)]
        if line.startswith(starts)
    ]


def words_of(command: str) -> list[str]:
    """Split a command as a shell does."""
    return shlex.split(command)


def load(file: Path) -> ModuleType:
    """Import a DAG file as Airflow does, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"unusual_prefix_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dag_of_file(file: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the DAG that a function of this name in a DAG file makes, ready to be run."""
    bundle = {
        "name": f"only-{file.parent.name}",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(file.parent)},
    }
    # Airflow 3 runs only DAGs of a folder that it is told of.
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
    return getattr(load(file), name)()


def tables(paper: Path) -> list[list[dict[str, str]]]:
    """Give the tables of a paper: a list of rows each, and a row by its column heads."""
    found = []
    for table in re.findall(r"(?:^\|.*\|\n)+", paper.read_text(), re.MULTILINE):
        head, _, *rows = (
            [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
        )
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found
