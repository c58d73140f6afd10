"""Every page on one job has the same parts, and names every argument."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from tests.docs.papers import ROOT, tables

DOCS = ROOT / "docs"
_ONE_JOB = (
    "submit", "list", "sensor", "coverage", "gate", "bulk", "sql", "export", "taskflow",
)  # fmt: skip
_SHOWN = re.compile(r"autoclass:: (airflow_provider_zelto\.(?:operators|sensors|transfers)\.\S+)")
_TASKS = _SHOWN.findall((DOCS / "api.md").read_text())
_TASK_PAGES = {
    "SubmitCustomerMetricOperator": "submit",
    "ListCustomerMetricsOperator": "list",
    "CustomerMetricsSensor": "sensor",
    "CustomerMetricsCoverageSensor": "coverage",
    "CustomerMetricsCheckOperator": "gate",
    "BulkSubmitCustomerMetricsOperator": "bulk",
    "SqlToZeltoOperator": "sql",
    "ExportCustomerMetricsOperator": "export",
    "ListRoarkChatMetricsOperator": "roark",
    "RoarkChatMetricsSensor": "roark",
    "RoarkToZeltoOperator": "roark",
    "ListCovalConversationMetricsOperator": "coval",
    "CovalConversationMetricsSensor": "coval",
    "CovalToZeltoOperator": "coval",
}


def _text(page: str) -> str:
    return (DOCS / f"{page}.md").read_text()


@pytest.mark.parametrize("page", _ONE_JOB)
def test_a_page_shows_code_first_then_arguments_xcom_and_what_goes_wrong(page):
    before, _, _ = _text(page).partition("\n## ")
    assert "```{literalinclude}" in before
    asked = ["Arguments", "XCom", "What goes wrong"]
    assert [part for part in re.findall(r"^## (.+)$", _text(page), re.MULTILINE) if part in asked] == asked


@pytest.mark.parametrize("name", _TASKS, ids=lambda name: name.rpartition(".")[2])
def test_every_argument_is_in_a_table_of_the_page(name):
    module, _, class_name = name.rpartition(".")
    described = re.findall(
        r"^:param (\w+):", inspect.getdoc(getattr(importlib.import_module(module), class_name)), re.MULTILINE
    )
    page = DOCS / f"{_TASK_PAGES[class_name]}.md"
    assert f"~{name}`" in page.read_text()
    first_cells = [next(iter(row.values())) for table in tables(page) for row in table]
    named = {word for cell in first_cells for word in re.findall(r"`(\w+)`", cell)}
    assert [argument for argument in described if argument not in named] == []
