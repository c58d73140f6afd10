"""What the pages on the quality gate and on waits for many calls say, compared with the code."""

from __future__ import annotations

import re

import pytest

from airflow_provider_zelto.conditions import MAX_CONSECUTIVE_FAILURES
from airflow_provider_zelto.coverage import CALLS_NAMED, CoverageCondition, CoverageSummary
from airflow_provider_zelto.gate import WORST_CALLS, ConditionReport, Gate, GateReport
from airflow_provider_zelto.sensors.zelto import CALLS_IN_TRIGGER
from tests.docs.papers import ROOT, tables

# Of every batch, and of every sensor.
SHARED = {
    *("concurrency", "max_requests_per_second", "rejects_path", "zelto_conn_id"),
    *("deferrable", "poke_interval", "timeout", "soft_fail", "max_consecutive_failures"),
}
GATE, COVERAGE = ROOT / "docs" / "gate.md", ROOT / "docs" / "coverage.md"


def column(paper, head):
    """Give the names in code in a column, wherever a table has it."""
    cells = [row[head] for table in tables(paper) for row in table if head in row]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_the_conditions_of_a_gate_are_those_in_the_code():
    told = {*column(GATE, "condition"), *column(GATE, "argument")}
    assert told - SHARED == set(Gate.model_fields)


def test_the_defaults_of_a_gate_are_those_in_the_code():
    [conditions] = [table for table in tables(GATE) if "condition" in table[0]]
    for row in conditions:
        _, _, default = row["takes"].partition("; ")
        field = Gate.model_fields[row["condition"].strip("`")]
        assert default == ("" if field.default is None else str(field.default)) or default.startswith("1.0 ")


def test_the_report_of_a_gate_has_the_keys_in_the_code():
    assert column(GATE, "key") == list(dict.fromkeys(column(GATE, "key")))
    assert set(column(GATE, "key")) == set(GateReport.__annotations__)
    [holds] = [row for table in tables(GATE) for row in table if row.get("key") == "`conditions`"]
    named = re.findall(r"`(\w+)`", holds["what it holds"])
    assert set(named) - {"null"} == set(ConditionReport.__annotations__)


def test_the_arguments_of_a_wait_for_many_calls_are_those_in_the_code():
    assert {*column(COVERAGE, "argument")} - SHARED | {"concurrency"} == set(CoverageCondition.model_fields)
    text = COVERAGE.read_text()
    assert [key for key in CoverageSummary.__annotations__ if f"`{key}`" not in text] == []
    assert f"at once, 1 to 256; {CoverageCondition.model_fields['concurrency'].default} |" in text


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (COVERAGE, f"a list of at most {CALLS_IN_TRIGGER} ids"),
        (COVERAGE, f"names at most {CALLS_NAMED}."),
        (COVERAGE, f"up to {MAX_CONSECUTIVE_FAILURES} in a row"),
        (COVERAGE, f"{MAX_CONSECUTIVE_FAILURES} requests fail with no answer in between"),
        (GATE, f"at most {WORST_CALLS} calls with a verdict or a score"),
        (GATE, f"at most {CALLS_NAMED} of the others"),
    ],
)
def test_numbers_on_the_pages_are_those_in_the_code(page, words):
    assert words in page.read_text().replace("\n", " ")
