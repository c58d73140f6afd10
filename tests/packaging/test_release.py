"""When ``make release`` refuses."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_zelto import __version__
from tests.packaging.imports import PACKAGE, ROOT
from tests.packaging.release import ReleaseError, problems, release, version_of

_PYPROJECT = f"""
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "airflow-provider-zelto"
dynamic = ["version"]

[tool.hatch.version]
path = "{PACKAGE}/__init__.py"
"""
_CHANGELOG = """
# Changelog

## [Unreleased]

## [1.2.0] - 2026-11-21

- A new thing.

## [1.1.0] - 2026-11-20

- An old thing.
"""
Spoil = Callable[["Repository"], None]


class Repository:
    """A git repository with a package in it that may be released."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet")
        self.write(f"{PACKAGE}/__init__.py", '__version__ = "1.2.0"\n')
        self.write("pyproject.toml", _PYPROJECT)
        self.write("CHANGELOG.md", _CHANGELOG)
        self.commit()

    def git(self, *words: str) -> None:
        author = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "tag.gpgsign=false"]
        subprocess.run(["git", *author, "-c", "commit.gpgsign=false", *words], cwd=self.root, check=True)

    def write(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))
        self.commit()

    def commit(self) -> None:
        self.git("add", ".")
        self.git("commit", "--quiet", "--allow-empty", "--message=x")

    def tag(self, name: str = "v1.2.0") -> None:
        self.git("tag", "--annotate", "--message=x", name)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def _replace(name: str, old: str, new: str) -> Spoil:
    return lambda repository: repository.replace(name, old, new)


_WRONG_FILES = [
    pytest.param(
        _replace("CHANGELOG.md", "## [Unreleased]\n", "## [Unreleased]\n\n- A late thing.\n"),
        "entries under Unreleased",
        id="unreleased",
    ),
    pytest.param(
        _replace("CHANGELOG.md", "## [1.2.0]", "## [1.2.1]"),
        r"newest version in CHANGELOG.md is 1\.2\.1, that of the package is 1\.2\.0",
        id="newer",
    ),
    pytest.param(
        _replace("CHANGELOG.md", "## [1.2.0] - 2026-11-21\n\n- A new thing.\n", ""),
        r"newest version in CHANGELOG.md is 1\.1\.0",
        id="no section",
    ),
    pytest.param(_replace("CHANGELOG.md", "## [1", "## 1"), "CHANGELOG.md is missing", id="no sections"),
    pytest.param(_replace("CHANGELOG.md", "- A new thing.\n", ""), r"what is new in 1\.2\.0", id="no words"),
    pytest.param(_replace("CHANGELOG.md", " - 2026-11-21", ""), "from which day", id="no date"),
    pytest.param(_replace("CHANGELOG.md", "2026-11-21", "2026-13-21"), "from which day", id="bad date"),
    pytest.param(
        _replace("pyproject.toml", 'dynamic = ["version"]', 'version = "1.1.0"'),
        r"makes version 1\.1\.0 of what .* calls 1\.2\.0",
        id="two versions",
    ),
    pytest.param(
        lambda repository: (
            repository.replace(f"{PACKAGE}/__init__.py", "1.2.0", "1.2.0-rc1"),
            repository.replace("CHANGELOG.md", "## [1.2.0]", "## [1.2.0-rc1]"),
            repository.tag("v1.2.0-rc1"),
        ),
        r"1\.2\.0-rc1 is not how PEP 440",
        id="another spelling",
    ),
    pytest.param(
        lambda repository: repository.write("new.py", ""), r"not clean:\n\?\? new.py", id="untracked"
    ),
    pytest.param(
        lambda repository: repository.write("CHANGELOG.md", _CHANGELOG + "\n"),
        r"not clean:\nM CHANGELOG.md",
        id="changed",
    ),
]


def test_a_tagged_commit_whose_versions_agree_may_be_released(repository: Repository) -> None:
    repository.tag()
    assert problems(repository.root) == []


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(("spoil", "words"), _WRONG_FILES)
def test_a_wrong_file_is_refused(repository: Repository, spoil: Spoil, words: str, dry_run: bool) -> None:
    spoil(repository)
    if version_of(repository.root) == "1.2.0":
        repository.tag()
    [problem] = problems(repository.root, dry_run=dry_run)
    assert re.search(words, problem)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(lambda repository: None, r"no tag v1\.2\.0", id="no tag"),
        pytest.param(lambda repository: repository.tag("1.2.0"), r"no tag v1\.2\.0", id="another name"),
        pytest.param(
            lambda repository: repository.git("branch", "v1.2.0"), r"no tag v1\.2\.0", id="only a branch"
        ),
        pytest.param(
            lambda repository: (repository.tag(), repository.commit()),
            r"The tag v1\.2\.0 is at \w{10}, and \w{10} is checked out",
            id="elsewhere",
        ),
    ],
)
def test_a_wrong_tag_is_refused_except_in_a_dry_run(repository: Repository, spoil: Spoil, words: str) -> None:
    spoil(repository)
    [problem] = problems(repository.root)
    assert re.search(words, problem)
    assert problems(repository.root, dry_run=True) == []


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_built(repository: Repository) -> None:
    repository.replace("CHANGELOG.md", "## [1.2.0]", "## [1.2.1]")
    repository.write("new.py", "")
    with pytest.raises(ReleaseError) as refused:
        release(repository.root)
    assert [line[:2] for line in str(refused.value).splitlines()] == ["- ", "??", "- ", "- "]
    assert not (repository.root / "dist").exists()


def test_a_package_without_a_version_is_refused(repository: Repository) -> None:
    repository.write(f"{PACKAGE}/__init__.py", "")
    with pytest.raises(ReleaseError, match="no __version__"):
        problems(repository.root)


def test_the_changelog_leads_with_the_version_of_the_package() -> None:
    released = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert released[0] == __version__
