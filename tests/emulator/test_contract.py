from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml

from tests.emulator.zelto_client import KEY

CONTRACT = Path(__file__).parents[1] / "zelto.openapi.yaml"
PATH = "/v1/conversations/{id}/customer-metrics"


def contract_for(calls: list[str]) -> dict[str, object]:
    """Return the contract with what its schemas leave to prose: calls that exist, a verdict or a score."""
    contract = yaml.safe_load(CONTRACT.read_text())
    operations = contract["paths"][PATH]
    for operation in operations.values():
        operation["parameters"][0]["schema"]["enum"] = calls
    body = operations["post"]["requestBody"]["content"]["application/json"]["schema"]
    body["anyOf"] = [{"required": ["verdict"]}, {"required": ["score"]}]
    return contract


def test_schemathesis_finds_nothing_against_the_contract(emulator, tmp_path):
    calls = [emulator.add_conversation() for _ in range(3)]
    emulator.add_metric(calls[0], "a", verdict="pass", note="n")
    schema = tmp_path / "contract.json"
    schema.write_text(json.dumps(contract_for(calls)))
    target = [str(schema), "--url", emulator.url, "--header", f"Authorization: Bearer {KEY}"]
    options = ["--checks", "all", "--max-examples", "12", "--seed", "1", "--continue-on-failure"]
    ended = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", *target, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    answered = Counter((entry["method"], entry["status"]) for entry in emulator.journal())
    assert answered["POST", 201] > 15
    assert answered["GET", 200] > 15
    assert answered["POST", 400] > 15
    assert min(answered["POST", 404], answered["GET", 404], answered["POST", 401], answered["GET", 401]) > 0
    assert sum(count for (_, status), count in answered.items() if status == 405) > 3
    assert all(emulator.metrics(call) for call in calls)
