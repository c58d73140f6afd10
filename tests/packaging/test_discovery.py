"""What this Airflow's own command line shows of the installed provider."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_zelto import __version__


@pytest.fixture
def providers(tmp_path: Path) -> Any:
    """Run ``airflow providers`` away from the sources, so that what is installed is what is found."""
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHONPATH"))
    }
    environment = {**own, "AIRFLOW_HOME": str(tmp_path / "airflow")}

    def run(listing: str) -> tuple[list[dict[str, Any]], str]:
        command = [sys.executable, "-m", "airflow", "providers", listing, "--output", "json"]
        answer = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
        )
        # The table is the last line; what comes before it are the words of loggers.
        *words, table = answer.stdout.strip().splitlines()
        return json.loads(table), "\n".join([*words, answer.stderr])

    return run


def test_the_provider_is_listed(providers: Any) -> None:
    listed, _ = providers("list")
    ours = [provider for provider in listed if provider["package_name"] == "airflow-provider-zelto"]
    assert [provider["version"] for provider in ours] == [__version__]


def test_the_connection_type_is_offered_without_a_complaint(providers: Any) -> None:
    hooks, words = providers("hooks")
    (zelto,) = [hook for hook in hooks if hook["connection_type"] == "zelto"]
    assert zelto["class"] == "airflow_provider_zelto.hooks.zelto.ZeltoHook"
    assert zelto["conn_id_attribute_name"] == "zelto_conn_id"
    assert zelto["hook_name"] == "Zelto"
    assert "zelto" not in words.lower()
