"""What the pages on Roark, Coval and mappings say, tried out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from airflow_provider_zelto.exceptions import InvalidMetricError, SourceMetricError
from airflow_provider_zelto.mapping import MetricMapping, SourceValue, check_mappings, map_metrics
from tests.answers import CALL
from tests.docs.papers import ROOT, commands, words_of
from tests.sources import LOCAL_SOURCES

NAMES = {"source": "csat", "label": "CSAT"}


def rows_of_tables() -> Iterator[dict[str, str]]:
    """Give the rows of the tables of mappings, by the names of their columns."""
    columns: list[str] = []
    for line in (ROOT / "docs" / "mappings.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            columns = []
        elif not columns:
            columns = cells
        elif columns[0] == "mapping" and not set(cells[0]) <= {"-"}:
            yield dict(zip(columns, cells, strict=True))


def python(cell: str) -> object:
    """Read a cell of Python code."""
    assert re.fullmatch(r"`[^`]+`", cell), cell
    return ast.literal_eval(cell.strip("`"))


def rows_with(*columns: str) -> list[object]:
    found = [row for row in rows_of_tables() if tuple(row) == columns]
    return [pytest.param(*row.values(), id=" | ".join(row.values())) for row in found]


def mapped(mapping: str, values: str):
    """Apply a mapping to values, as the tables write both."""
    checked = check_mappings([{**NAMES, **python(mapping)}])
    given = [SourceValue(value) for value in python(f"`[{values.strip('`')}]`")]
    (metric,), skipped = map_metrics(checked, CALL, {"csat": given})
    assert skipped == []
    return metric


@pytest.mark.parametrize(("mapping", "values", "submitted"), rows_with("mapping", "values", "submitted"))
def test_a_mapping_gives_what_its_table_says(mapping, values, submitted):
    body = mapped(mapping, values).body()
    assert body.pop("label") == "CSAT"
    assert body == python(submitted)


@pytest.mark.parametrize(("mapping", "values", "error"), rows_with("mapping", "values", "error"))
def test_values_are_refused_as_their_table_says(mapping, values, error):
    with pytest.raises(SourceMetricError) as caught:
        mapped(mapping, values)
    assert str(caught.value) == f"Metric 'csat', to be 'CSAT' in Zelto, {error}."


@pytest.mark.parametrize(("mapping", "error"), rows_with("mapping", "error"))
def test_a_mapping_is_refused_as_its_table_says(mapping, error):
    with pytest.raises(InvalidMetricError) as caught:
        check_mappings([{**NAMES, **python(mapping)}])
    assert str(caught.value) == f"mappings[0].{error}"


def test_the_tables_show_every_field_every_operator_and_every_aggregate():
    shown = [python(row["mapping"]) for row in rows_of_tables() if "submitted" in row]
    fields = {field for mapping in shown for field in mapping} | {"metric_id", *NAMES}
    assert fields == MetricMapping.model_fields.keys()
    conditions = [mapping["pass_when"] for mapping in shown if isinstance(mapping.get("pass_when"), dict)]
    operators = {name for condition in conditions for name in condition}
    assert operators == {">=", ">", "<=", "<", "==", "!=", "in", "not_in"}
    aggregates = {mapping["aggregate"] for mapping in shown if "aggregate" in mapping}
    assert aggregates == {"mean", "min", "max", "last", "all_pass", "any_pass"}


@pytest.mark.parametrize("name", LOCAL_SOURCES)
def test_the_connection_in_the_environment_can_be_used(name, monkeypatch):
    variable = f"AIRFLOW_CONN_{name.upper()}_DEFAULT"
    shown = [command.values[0] for command in commands(f"export {variable}")]
    assert shown
    for command in shown:
        [(_, value)] = [word.split("=", 1) for word in words_of(command)[1:]]
        monkeypatch.setenv(variable, value)
        settings = LOCAL_SOURCES[name].hook().get_settings()
        assert settings.base_url in (
            LOCAL_SOURCES[name].hook.service.base_url,
            f"http://127.0.0.1:8765/{name}",
        )


@pytest.mark.parametrize("name", LOCAL_SOURCES)
def test_the_page_names_the_address_that_is_asked(name):
    page = (ROOT / "docs" / f"{name}.md").read_text()
    assert f"`{LOCAL_SOURCES[name].hook.service.base_url}`" in page
