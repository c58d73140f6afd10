"""What runs on every change, on the machine of a contributor and elsewhere, is what the Makefile runs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.imports import ROOT
from tests.packaging.matrix import supported

_GITHUB = ROOT / ".github"
_MAKEFILE = (ROOT / "Makefile").read_text()
_TARGETS = dict(re.findall(r"^([a-z0-9-]+):(.*?)(?: ##.*)?$", _MAKEFILE, re.MULTILINE))
_WORKFLOW = yaml.safe_load((_GITHUB / "workflows" / "ci.yml").read_text())
_JOBS: dict[str, dict[str, Any]] = _WORKFLOW["jobs"]
_HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
_FORMS = sorted({*(_GITHUB / "ISSUE_TEMPLATE").glob("*.yml")} - {_GITHUB / "ISSUE_TEMPLATE" / "config.yml"})


def _legs(job: dict[str, Any]) -> list[dict[str, str]]:
    """Give the values that a job's matrix stands for, those of one run after the other."""
    matrix = job.get("strategy", {}).get("matrix", {})
    if "include" in matrix:
        return list(matrix["include"])
    return [{name: value} for name, values in matrix.items() for value in values] or [{}]


def _commands() -> Iterator[str]:
    for job in _JOBS.values():
        for command in filter(None, (step.get("run") for step in job["steps"])):
            for leg in _legs(job):
                yield _filled_in(command, leg)


def _filled_in(command: str, leg: dict[str, str]) -> str:
    for name, value in leg.items():
        command = command.replace(f"${{{{ matrix.{name} }}}}", value)
    return command


def _steps() -> Iterator[dict[str, Any]]:
    for job in _JOBS.values():
        yield from job["steps"]


def test_the_workflow_runs_targets_of_the_makefile_and_nothing_else() -> None:
    called = [command.split() for command in _commands()]
    assert "$" not in str(called)
    assert {words[0] for words in called} == {"make"}
    assert {words[1] for words in called} == {
        *("check", "test", "demo", "test-matrix", "e2e", "e2e-distributed", "release"),
    }
    assert {words[1] for words in called} <= _TARGETS.keys()


def test_the_legs_of_the_workflow_are_those_of_nox() -> None:
    legs = {leg["leg"]: leg["python"] for leg in _legs(_JOBS["airflow"])}
    assert legs == {**supported(), "lowest": "3.11"}


@pytest.mark.parametrize(
    ("leg", "session"), [*((leg, f"tests({leg})") for leg in supported()), ("lowest", "lowest")]
)
def test_make_runs_the_leg_that_is_named_and_no_other(leg: str, session: str) -> None:
    command = ["make", "--dry-run", "test-matrix", f"LEG={leg}"]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert f"nox --session '{session}' --" in said


def test_the_workflow_may_read_the_repository_and_nothing_more() -> None:
    assert _WORKFLOW["permissions"] == {"contents": "read"}
    assert [name for name, job in _JOBS.items() if "permissions" in job] == []


def test_actions_are_the_makers_own_and_pinned_to_a_major_version() -> None:
    used = {step["uses"] for step in _steps() if "uses" in step}
    assert {action for action in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", action)} == set()


@pytest.mark.parametrize("name", _JOBS)
def test_every_job_has_a_python_of_its_own_and_an_end(name: str) -> None:
    job = _JOBS[name]
    sets_up = any(step.get("uses", "").startswith("actions/setup-python@") for step in job["steps"])
    assert sets_up or str(job.get("container")).startswith("python:")
    assert job["timeout-minutes"] <= 60


def test_only_a_tag_is_released_and_after_all_else() -> None:
    job = _JOBS["release"]
    assert job["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert {*job["needs"]} == _JOBS.keys() - {"release"}


def test_the_hooks_before_a_commit_and_a_push_are_the_steps_of_make_check() -> None:
    [repository] = _HOOKS
    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == [
        f"make {step}" for step in _TARGETS["check"].split()
    ]
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}


@pytest.mark.parametrize("form", _FORMS, ids=lambda form: form.stem)
def test_a_form_for_issues_asks_something_and_says_what_for(form: Path) -> None:
    asked = yaml.safe_load(form.read_text())
    assert asked["name"]
    assert asked["description"]
    fields = [field for field in asked["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) > 0
    assert all(field["attributes"]["label"] for field in fields)


def test_the_form_for_bugs_asks_for_versions_and_for_a_log_without_the_key() -> None:
    fields = {
        field["id"]: field
        for field in yaml.safe_load((_GITHUB / "ISSUE_TEMPLATE" / "bug.yml").read_text())["body"]
        if "id" in field
    }
    for name in ("provider", "airflow", "python", "log"):
        assert fields[name]["validations"] == {"required": True}
    [promise] = fields["removed"]["attributes"]["options"]
    assert promise["required"] is True
    assert "API keys" in promise["label"]


@pytest.mark.parametrize("template", sorted(_GITHUB.rglob("*.*")), ids=lambda path: path.name)
def test_the_papers_of_the_templates_exist(template: Path) -> None:
    text = template.read_text()
    targets = re.findall(r"`make ([a-z0-9-]+)", text)
    files = re.findall(r"`([\w./-]+\.md)`", text)
    assert {*targets} <= _TARGETS.keys()
    assert [file for file in files if not (ROOT / file).exists()] == []
