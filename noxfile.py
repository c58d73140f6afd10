"""The test suite on every supported Airflow, and on the lowest versions that the metadata allows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True

ROOT = Path(__file__).parent
SUPPORTED = {"2.11.2": "3.11", "3.0.6": "3.12", "3.1.8": "3.13", "3.2.2": "3.12", "3.3.2": "3.13"}
# What came out after an Airflow can break it: newer FastAPI answers 422 to the requests of its own workers,
# newer universal-pathlib has no place for the object storage of 2.11.0 and 3.0. Airflow 3.0 makes connection
# forms only where flask-appbuilder is installed, as it is in the official images.
CONTEMPORARIES = {
    "2.11.0": ["universal-pathlib<0.3"],
    "3.0.6": ["cadwyn<5.5", "fastapi<0.118", "flask-appbuilder", "universal-pathlib<0.3"],
    "3.2.2": ["cadwyn<7", "fastapi<0.137", "pydantic<2.14"],
}
_EXTRAS = "aiohttp,emulator,test"


def show_every_pyenv_python() -> None:
    """Let pyenv's shims answer for all installed versions, not only for the active one."""
    if "PYENV_VERSION" in os.environ or not (pyenv := shutil.which("pyenv")):
        return
    installed = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=True)
    os.environ["PYENV_VERSION"] = ":".join(re.findall(r"^3\.1[1-9]\.\d+$", installed.stdout, re.MULTILINE))


show_every_pyenv_python()


def build_wheel(session: nox.Session) -> Path:
    """Build the wheel a user would install, and nothing else, into the session's own folder."""
    folder = Path(session.create_tmp()).resolve()
    for old in folder.glob("*.whl"):
        old.unlink()
    session.run("uv", "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT), external=True)
    return next(folder.glob("*.whl"))


def install_wheel(session: nox.Session, extras: str, *requirements: str) -> None:
    """Install the wheel with what the suite needs, leaving alone what is there and good enough."""
    wheel = build_wheel(session).as_uri()
    session.install(
        "--reinstall-package=airflow-provider-zelto",
        f"airflow-provider-zelto[{extras}] @ {wheel}",
        *requirements,
    )


def run_suite(session: nox.Session) -> None:
    """Run the tests in several processes: they wait more than they work."""
    session.run("python", "-m", "pytest", "--numprocesses=3", "--dist=worksteal", *session.posargs)


@nox.session
@nox.parametrize(("airflow", "python"), list(SUPPORTED.items()), ids=list(SUPPORTED))
def tests(session: nox.Session, airflow: str) -> None:
    """Run the suite on one Airflow, and the demo, with the newest versions of everything else that fit it."""
    install_wheel(session, _EXTRAS, f"apache-airflow=={airflow}", *CONTEMPORARIES.get(airflow, []))
    run_suite(session)
    if not session.posargs:
        session.run("python", "-m", "tests.live.end_to_end")


@nox.session(python="3.11", reuse_venv=False)
def lowest(session: nox.Session) -> None:
    """Run the suite on exactly the lowest versions that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    allowed = [*project["dependencies"], *extras["aiohttp"], *extras["emulator"]]
    session.install("--resolution=lowest-direct", *allowed)
    install_wheel(session, _EXTRAS, *CONTEMPORARIES["2.11.0"])
    listing = ["uv", "pip", "list", "--format=json"]
    listed = session.run(*listing, external=True, silent=True, stderr=subprocess.DEVNULL)
    installed = {package["name"]: package["version"] for package in json.loads(listed)}
    for requirement in map(Requirement, allowed):
        if str(requirement.specifier) != f">={installed[requirement.name]}":
            session.error(f"{requirement} was to be tested at its bound, got {installed[requirement.name]}")
    run_suite(session)
