"""Who may import whom: nothing imports upwards, nothing goes round in a circle."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from tests.packaging.imports import PACKAGE, imports, is_emulator, modules, own_imports

# From the ground up; a module may import those of its own layer and of the layers below.
_LAYERS = (
    ("exceptions", "get_provider_info", "services", "checkpoint", "secrecy", "retry_policy", "event_loops"),
    ("arguments", "rows", "calls", "assets"),
    ("models", "conditions", "changes", "coverage", "samples", "gate", "mapping", "returned"),
    ("api_request", "api_answer", "api_client"),
    ("connection",),
    ("hooks", "links"),
    ("bulk", "batch_run", "submission", "export", "reading", "triggers"),
    ("operators", "sensors", "decorators"),
    ("transfers",),
)
_HEIGHT = {room: height for height, layer in enumerate(_LAYERS) for room in layer}
_MODULES = [name for name in modules() if name != PACKAGE and not is_emulator(name)]


def _room(module: str) -> str:
    return module.removeprefix(PACKAGE).strip(".").partition(".")[0]


def test_every_room_has_its_layer() -> None:
    assert {_room(module) for module in _MODULES} <= _HEIGHT.keys()


@pytest.mark.parametrize("module", _MODULES)
def test_a_module_imports_nothing_that_stands_above_it(module: str) -> None:
    height = _HEIGHT[_room(module)]
    imported = own_imports(modules()[module]) - {PACKAGE}
    assert {name for name in imported if is_emulator(name) or _HEIGHT[_room(name)] > height} == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    # A package's own name stands for its first lines, which all of its modules may read.
    graph = {name: own_imports(path) - {name, PACKAGE} for name, path in modules().items()}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", [*filter(is_emulator, modules())])
def test_the_emulator_shares_nothing_with_what_it_is_to_test(module: str) -> None:
    path = modules()[module]
    foreign = {name for name in own_imports(path) if not is_emulator(name)}
    assert foreign <= {PACKAGE}
    assert not any(name.startswith(("airflow.", "httpx")) for name in imports(path))


def test_reading_the_version_imports_no_airflow() -> None:
    code = f"import sys, {PACKAGE}; sys.exit('airflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
