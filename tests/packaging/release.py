"""A release: all that must hold before it, its wheel and sdist, and the wheel at work (``make release``)."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from packaging.version import InvalidVersion, Version

from tests.packaging.imports import PACKAGE, ROOT
from tests.packaging.matrix import supported

_VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_SECTION = re.compile(
    r"^## \[(?P<name>[^\]\n]+)\](?: - (?P<date>[^\n]+))?$(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL
)


class ReleaseError(Exception):
    """A reason not to release, in words for the person who wants to."""


def version_of(root: Path) -> str:
    """Give the version of the package, from the one place where it is written."""
    found = _VERSION.search((root / PACKAGE / "__init__.py").read_text())
    if found is None:
        raise ReleaseError(f"{PACKAGE}/__init__.py has no __version__.")
    return found[1]


def problems(root: Path, *, dry_run: bool = False) -> list[str]:
    """
    Name all that keeps what is checked out from being released.

    :param root: the repository.
    :param dry_run: leave out what only a tagged commit can fulfil.
    """
    version = version_of(root)
    return [
        *_of_the_tree(root),
        *([] if dry_run else _of_the_tag(root, f"v{version}")),
        *_of_the_metadata(root, version),
        *_of_the_changelog(root, version),
    ]


def _of_the_tree(root: Path) -> Iterator[str]:
    if changed := _git(root, "status", "--porcelain"):
        yield f"The working tree is not clean:\n{changed}"


def _of_the_tag(root: Path, tag: str) -> Iterator[str]:
    try:
        tagged = _git(root, "rev-parse", "--quiet", "--verify", f"refs/tags/{tag}^{{commit}}")
    except subprocess.CalledProcessError:
        yield f"There is no tag {tag}: git tag --annotate {tag}"
        return
    if tagged != (head := _git(root, "rev-parse", "HEAD")):
        yield f"The tag {tag} is at {tagged:.10}, and {head:.10} is checked out."


def _of_the_metadata(root: Path, version: str) -> Iterator[str]:
    command = [sys.executable, "-m", "hatchling", "version"]
    built = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()
    if built != version:
        yield f"pyproject.toml makes version {built} of what {PACKAGE}/__init__.py calls {version}."
    elif not _is_canonical(version):
        yield f"{PACKAGE}/__init__.py: {version} is not how PEP 440 spells a version."


def _is_canonical(version: str) -> bool:
    try:
        return str(Version(version)) == version
    except InvalidVersion:
        return False


def _of_the_changelog(root: Path, version: str) -> Iterator[str]:
    sections = {match["name"]: match for match in _SECTION.finditer((root / "CHANGELOG.md").read_text())}
    unreleased = sections.pop("Unreleased", None)
    if unreleased and unreleased["text"].strip():
        yield f"CHANGELOG.md has entries under Unreleased: move them to {version}."
    newest = next(iter(sections.values()), None)
    if newest is None or newest["name"] != version:
        there = newest["name"] if newest else "missing"
        yield f"The newest version in CHANGELOG.md is {there}, that of the package is {version}."
    elif not newest["text"].strip():
        yield f"CHANGELOG.md does not say what is new in {version}."
    elif not _is_date(newest["date"]):
        yield f"CHANGELOG.md does not say from which day {version} is: ## [{version}] - YYYY-MM-DD"


def _is_date(text: str | None) -> bool:
    try:
        return bool(date.fromisoformat(text or ""))
    except ValueError:
        return False


def _git(root: Path, *words: str) -> str:
    answer = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return answer.stdout.strip()


def _run(*command: str | Path, cwd: Path = ROOT) -> None:
    print("+", *command, flush=True)
    # A setting of another Airflow or another Python would get into the clean ones.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    subprocess.run([*map(str, command)], cwd=cwd, env=env, check=True)


def try_out(dist: Path, airflow: str) -> None:
    """
    Run the quickstart, and compare the connection forms, with the wheel in an Airflow of its own.

    :param dist: folder of one wheel and one sdist.
    :param airflow: version of the Airflow to install.
    """
    [wheel], [sdist] = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with tempfile.TemporaryDirectory(prefix="zelto-release-") as made:
        environment, source = Path(made, "venv"), Path(made, "source")
        uv = [sys.executable, "-m", "uv"]
        _run(*uv, "venv", "--quiet", "--python", sys.executable, environment)
        python = environment / "bin" / "python"
        wanted = [
            f"airflow-provider-zelto[emulator] @ {wheel.resolve().as_uri()}",
            f"apache-airflow=={airflow}",
        ]
        _run(*uv, "pip", "install", "--quiet", "--python", python, *wanted)
        with tarfile.open(sdist) as archive:
            archive.extractall(source, filter="data")
        [unpacked] = source.iterdir()
        # What is left of the package is the wheel.
        shutil.rmtree(unpacked / PACKAGE)
        _run(python, "-m", "tests.live.end_to_end", cwd=unpacked)


def release(root: Path, *, dry_run: bool = False) -> None:
    """
    Make the distributions in ``dist``, or raise ReleaseError before anything is made.

    :param root: the repository.
    :param dry_run: do not ask for the tag.
    """
    if found := problems(root, dry_run=dry_run):
        raise ReleaseError("\n".join(f"- {problem}" for problem in found))
    _run("make", "--no-print-directory", "build", cwd=root)
    *_, airflow = supported()
    try_out(root / "dist", airflow)
    version = version_of(root)
    print(f"\nVersion {version} is in dist, and its wheel has run the quickstart on Airflow {airflow}.")
    print(*_what_is_left(root, version, dry_run=dry_run), sep="\n")


def _what_is_left(root: Path, version: str, *, dry_run: bool) -> Iterator[str]:
    urls = tomllib.loads((root / "pyproject.toml").read_text())["project"].get("urls", {})
    if "Source" not in urls:
        yield "Without an address of the repository: [project.urls] in pyproject.toml has no Source."
    if dry_run:
        yield f"Not checked: that the tag v{version} is there, and at this commit."
    else:
        yield f"Left to type:\n  git push origin v{version}\n  .venv/bin/twine upload dist/*"


def main() -> int:
    """Release what is checked out, and give the exit status."""
    parser = argparse.ArgumentParser(prog="make release", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="do not ask for the tag")
    try:
        release(ROOT, dry_run=parser.parse_args().dry_run)
    except ReleaseError as error:
        print(f"No release:\n{error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"No release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
