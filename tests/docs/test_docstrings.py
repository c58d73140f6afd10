"""Docstrings in the agreed form, as far as ruff cannot tell: every parameter, and none that is not there."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.docs.papers import ROOT
from tests.packaging.imports import PACKAGE, is_emulator, modules

# What DAG authors make objects of, or subclass.
_ROOMS = {"hooks", "operators", "sensors", "triggers", "transfers", "decorators"}
_PARAMETER = re.compile(r"^:param (\w+): *(.*(?:\n +.*)*)", re.MULTILINE)
# One half of a pair, sync and async, describes both.
_REFERS = re.compile(r"Do as :meth:|Do the same")
_LISTED = re.findall(r"autoclass:: ([\w.]+)", (ROOT / "docs" / "api.md").read_text())
_TASKS = [
    name
    for name in _LISTED
    if name.removeprefix(f"{PACKAGE}.").partition(".")[0]
    in ("operators", "sensors", "transfers", "decorators")
]


Function = ast.FunctionDef | ast.AsyncFunctionDef


class Parameters(NamedTuple):
    """What a function takes: by name, by name for its base, and the name of what holds the latter."""

    own: list[str]
    handed_on: list[str]
    others: str | None

    @classmethod
    def of(cls, function: Function) -> Parameters:
        args = function.args
        named = [*args.posonlyargs, *args.args, *args.kwonlyargs, *([args.vararg] if args.vararg else [])]
        names = [arg.arg for arg in named if arg.arg not in ("self", "cls")]
        return cls(names, [], args.kwarg.arg if args.kwarg else None)

    def compare(self, described: dict[str, str]) -> dict[str, list[str]]:
        """Name what is not described, and what is and does not exist."""
        # What says itself that it stands for others leaves the choice which of them are worth describing.
        wanted = [*self.own, *([] if self.others in described else self.handed_on)]
        known = {*self.own, *self.handed_on, self.others}
        found = {
            "missing": [name for name in wanted if name not in described],
            "unknown": [name for name in described if name not in known],
        }
        return {what: names for what, names in found.items() if names}


def _public(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.ClassDef | Function]]:
    for node in body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield f"{prefix}.{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from _public(node.body, f"{prefix}.{node.name}")


_NAMES = {
    name: node
    for module, path in modules().items()
    for name, node in _public(ast.parse(path.read_text()).body, module)
}
_CLASSES = {
    node.name: node
    for name, node in _NAMES.items()
    if isinstance(node, ast.ClassDef) and not is_emulator(name)
}
_FUNCTIONS = {name: node for name, node in _NAMES.items() if isinstance(node, Function)}


def _is_for_dag_authors(name: str) -> bool:
    return name.removeprefix(f"{PACKAGE}.").partition(".")[0] in _ROOMS


def _init(node: ast.ClassDef) -> ast.FunctionDef | None:
    found = (part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__")
    return next(found, None)


def _base(node: ast.ClassDef) -> ast.ClassDef | None:
    names = (re.match(r"\w+", ast.unparse(base)) for base in node.bases)
    return next((_CLASSES[name[0]] for name in names if name and name[0] in _CLASSES), None)


def _accepted(node: ast.ClassDef | None) -> Parameters:
    """Give what a class is made of, with what it hands on to its base but does not set itself."""
    if node is None:
        return Parameters([], [], None)
    if (init := _init(node)) is None:
        return _accepted(_base(node))
    own, _, others = Parameters.of(init)
    if others is None:
        return Parameters(own, [], None)
    settled = {
        keyword.arg
        for call in ast.walk(init)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__"
        for keyword in call.keywords
    }
    base = _accepted(_base(node))
    return Parameters(own, [name for name in (*base.own, *base.handed_on) if name not in settled], others)


def _described(node: ast.ClassDef | Function) -> dict[str, str]:
    return dict(_PARAMETER.findall(ast.get_docstring(node) or ""))


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, node in _NAMES.items()
        if isinstance(node, ast.ClassDef)
        and (_described(node) or name in _LISTED or (_init(node) and _is_for_dag_authors(name)))
    ],
)
def test_a_class_describes_every_parameter(name: str) -> None:
    node = _NAMES[name]
    assert isinstance(node, ast.ClassDef)
    assert _accepted(node).compare(_described(node)) == {}


@pytest.mark.parametrize("name", [name for name in _FUNCTIONS if re.search(r"\.hooks\.\w+\.\w+Hook\.", name)])
def test_a_method_of_a_hook_describes_every_parameter(name: str) -> None:
    if not _REFERS.match(ast.get_docstring(_FUNCTIONS[name]) or ""):
        assert Parameters.of(_FUNCTIONS[name]).compare(_described(_FUNCTIONS[name])) == {}


@pytest.mark.parametrize("name", [name for name, node in _FUNCTIONS.items() if _described(node)])
def test_a_function_that_describes_a_parameter_describes_all(name: str) -> None:
    assert Parameters.of(_FUNCTIONS[name]).compare(_described(_FUNCTIONS[name])) == {}


@pytest.mark.parametrize("name", _TASKS)
def test_a_task_says_what_is_templated_what_it_leaves_and_what_can_happen(name: str) -> None:
    module, _, class_name = name.rpartition(".")
    task = getattr(importlib.import_module(module), class_name)
    words = inspect.getdoc(task) or ""
    described = dict(_PARAMETER.findall(words))
    assert re.search(r"^:return: XCom", words, re.MULTILINE)
    assert re.search(r"^:raises \w+:", words, re.MULTILINE)
    assert "API page" in " ".join(words.split())

    # See test_serialization about the template field of the argument "label".
    rendered = {"label" if field == "metric_label" else field for field in task.template_fields}
    told = {argument for argument, meaning in described.items() if "templated" in meaning}
    if "Every argument is templated." in words:
        told = {*described}
    assert told == rendered - {"templates_dict"}  # that of Airflow's own decorators


def test_every_class_for_dag_authors_is_in_the_api_reference() -> None:
    listed = {name.rpartition(".")[2] for name in _LISTED}
    bases = {base.name for node in _CLASSES.values() if (base := _base(node))}
    ours = {
        node.name
        for name, node in _NAMES.items()
        if _is_for_dag_authors(name) and re.search("(Operator|Sensor|Trigger|Hook)$", node.name)
    }
    assert ours - bases <= listed


def test_the_linter_asks_for_a_docstring_of_every_public_name_of_the_package() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "D" in lint["select"]
    assert {rule for rule in lint["ignore"] if rule.startswith("D1")} == {"D105", "D107"}
    exempt = {path for path, rules in lint["per-file-ignores"].items() if any(r[0] == "D" for r in rules)}
    assert exempt == {"tests/**", "example_dags/**"}
