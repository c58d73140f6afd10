"""What the installed distribution says about itself."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import distribution, metadata, requires
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from airflow_provider_zelto import __version__, services
from airflow_provider_zelto.get_provider_info import get_provider_info
from airflow_provider_zelto.services import Service
from tests.packaging.imports import PACKAGE, imports, is_emulator, modules
from tests.packaging.matrix import supported

_NAME = "airflow-provider-zelto"
# Modules that come with a distribution of another name, longest first.
_DISTRIBUTIONS = {
    "airflow.providers.common.compat": "apache-airflow-providers-common-compat",
    "airflow": "apache-airflow",
    "pydantic_core": "pydantic",
    # Its TypedDict is the one that pydantic accepts on every Python, and pydantic brings it.
    "typing_extensions": "pydantic",
}
# Imported only where they are needed: by Airflow 2 for its forms, for a file format, for a driver.
_OPTIONAL = {"flask-appbuilder", "wtforms", "pyarrow", "mysqldb"}
# uvicorn imports it when it is there, which makes the emulator faster.
_IMPORTED_BY_OTHERS = {"httptools"}
# What a DAG author may install; the empty name stands for the plain installation.
_FOR_DAGS = ["", *({*(metadata(_NAME).get_all("Provides-Extra") or ())} - {"dev", "emulator", "test"})]


def _declared(extra: str) -> set[str]:
    """Give the distributions that an extra asks for, those of the plain installation when it has no name."""
    found = [Requirement(line) for line in requires(_NAME) or []]
    return {
        canonicalize_name(requirement.name)
        for requirement in found
        if (requirement.marker is None) == (extra == "")
        and (requirement.marker is None or requirement.marker.evaluate({"extra": extra}))
    }


def _imported(*, emulator: bool) -> set[str]:
    """Give the distributions whose modules the emulator imports, or those that all the rest imports."""
    names = {
        name
        for module, path in modules().items()
        if is_emulator(module) == emulator
        for name in imports(path)
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "airflow_provider_zelto"}
    }
    return set(map(_distribution, names)) - _OPTIONAL


def _distribution(module: str) -> str:
    known = (name for start, name in _DISTRIBUTIONS.items() if f"{module}.".startswith(f"{start}."))
    return next(known, canonicalize_name(module.partition(".")[0]))


def test_everything_the_emulator_imports_is_declared() -> None:
    assert _imported(emulator=True) <= _declared("") | _declared("emulator")


def test_everything_the_rest_imports_is_declared() -> None:
    assert _imported(emulator=False) <= set().union(*map(_declared, _FOR_DAGS))


@pytest.mark.parametrize("extra", [*_FOR_DAGS, "emulator"])
def test_everything_declared_is_imported(extra: str) -> None:
    assert _declared(extra) - _IMPORTED_BY_OTHERS <= _imported(emulator=extra == "emulator")


def test_the_installed_version_is_the_one_in_the_package() -> None:
    assert distribution(_NAME).version == __version__


def test_the_classifiers_name_the_pythons_that_are_tested() -> None:
    named = [line.rpartition(" ")[2] for line in metadata(_NAME).get_all("Classifier") or [] if " 3." in line]
    assert named == sorted(named, key=Version)
    assert {*named} == {*supported().values()}
    assert metadata(_NAME)["Requires-Python"] == f">={named[0]}"


def test_airflow_finds_the_provider_by_its_entry_point() -> None:
    found = [point for point in distribution(_NAME).entry_points if point.group == "apache_airflow_provider"]
    assert [point.load()() for point in found] == [get_provider_info()]


def test_every_service_has_a_connection_type_and_its_modules_are_listed() -> None:
    info = get_provider_info()
    declared = {value.name.lower() for value in vars(services).values() if isinstance(value, Service)}
    assert {kind["connection-type"] for kind in info["connection-types"]} == declared
    for room in ("hooks", "operators", "sensors", "triggers"):
        listed = [module for entry in info[room] for module in entry["python-modules"]]
        assert sorted(listed) == sorted(f"{PACKAGE}.{room}.{name}" for name in declared)
        assert {*listed} <= modules().keys()


def test_every_transfer_is_listed() -> None:
    transfers = {name for name in modules() if name.startswith(f"{PACKAGE}.transfers.")}
    listed = {transfer["python-module"] for transfer in get_provider_info()["transfers"]}
    assert listed == transfers - {f"{PACKAGE}.transfers.base"}


def test_the_provider_info_is_what_this_airflow_expects() -> None:
    expected = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), expected)


def test_the_emulator_command_starts_the_emulator() -> None:
    command = Path(sys.executable).with_name("zelto-emulator")
    answer = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    assert "--port" in answer.stdout
