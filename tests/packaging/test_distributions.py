"""What the wheel and the sdist hold."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packaging.imports import PACKAGE, ROOT


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="session")
def in_wheel(built: Path) -> set[str]:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="session")
def in_sdist(built: Path) -> set[str]:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def _sources(folder: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and "_build" not in path.parts
    }


def test_the_wheel_holds_the_package_and_nothing_else(in_wheel: set[str]) -> None:
    inside = {name for name in in_wheel if not name.partition("/")[0].endswith(".dist-info")}
    assert inside == _sources(PACKAGE)


@pytest.mark.parametrize("file", [f"{PACKAGE}/py.typed", f"{PACKAGE}/get_provider_info.py"])
def test_the_wheel_holds_what_tools_look_for(in_wheel: set[str], file: str) -> None:
    assert file in in_wheel


def test_the_wheel_brings_its_licence(in_wheel: set[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in in_wheel)


@pytest.mark.parametrize("folder", [PACKAGE, ".github", "docs", "example_dags", "tests"])
def test_the_sdist_holds_all_that_is_needed_to_test_and_to_document(in_sdist: set[str], folder: str) -> None:
    assert _sources(folder) <= in_sdist
