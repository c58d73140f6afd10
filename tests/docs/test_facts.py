"""What the papers state as facts, compared with the code."""

from __future__ import annotations

import inspect
import re
import tomllib

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from packaging.requirements import Requirement

from airflow_provider_zelto import batch_run, conditions, exceptions, models
from airflow_provider_zelto.api_client import CONNECTIONS
from airflow_provider_zelto.api_request import ClientSettings, RetryPolicy
from airflow_provider_zelto.bulk import PATIENT
from airflow_provider_zelto.get_provider_info import get_provider_info
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.services import COVAL, ROARK, ZELTO
from tests.docs.papers import ROOT, tables
from tests.packaging.imports import PACKAGE, is_emulator, modules, own_imports
from tests.packaging.matrix import supported

DOCS = ROOT / "docs"
ONCE = ClientSettings(ZELTO, "https://api.zelto.ai", "a-key")


def _row(paper, start):
    [row] = [row for table in tables(paper) for row in table if next(iter(row.values())).startswith(start)]
    return list(row.values())[1:]


def _errors():
    rows = [row for table in tables(DOCS / "errors.md") for row in table if "class" in row]
    return {re.search(r"(\w+)`$", row["class"])[1]: row for row in rows}


PUBLIC_ERRORS = {
    name: error
    for name, error in vars(exceptions).items()
    if inspect.isclass(error) and issubclass(error, Exception) and error.__module__ == exceptions.__name__
}


def test_every_error_has_a_row():
    assert _errors().keys() == PUBLIC_ERRORS.keys() - {"APIError"}


@pytest.mark.parametrize("name", sorted(PUBLIC_ERRORS.keys() - {"APIError"}))
def test_the_errors_page_tells_whether_a_task_is_retried(name):
    fails_at_once = issubclass(PUBLIC_ERRORS[name], AirflowFailException)
    assert _errors()[name]["task retried"] == ("no" if fails_at_once else "yes")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 422, 429, 500, 501, 502, 503, 504])
def test_the_errors_page_tells_whether_a_request_is_repeated(status):
    error_class = exceptions.status_error_class(status)
    error = error_class("x", service="Zelto", method="GET", path="/", status_code=status)
    repeated = _errors()[error_class.__name__]["repeated"]
    assert RetryPolicy().repeats(error) == (str(status) in repeated or repeated.startswith("yes"))


@pytest.mark.parametrize(
    ("start", "one", "of_a_batch"),
    [
        ("repeats after", f"{RetryPolicy().max_retries} (", f"{PATIENT.max_retries}"),
        ("seconds from the first", f"{RetryPolicy().budget:g}", f"{PATIENT.budget:g}"),
        (
            "longest `Retry-After`",
            f"{RetryPolicy().longest_retry_after:g} s",
            f"{PATIENT.longest_retry_after:g} s",
        ),
        ("seconds for each part", f"{ONCE.timeout:g} (", "the same"),
    ],
)
def test_the_numbers_of_repeats_are_those_in_the_code(start, one, of_a_batch):
    cells = _row(DOCS / "reliability.md", start)
    assert cells[0].startswith(one)
    assert cells[1] == of_a_batch


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("hook.md", f"at most {CONNECTIONS} requests under way"),
        ("sensor.md", f"up to {conditions.MAX_CONSECUTIVE_FAILURES} in a row"),
        ("reliability.md", f"after {conditions.MAX_CONSECUTIVE_FAILURES} failures in a row"),
        ("security.md", f"every {({5.0: 'five'})[batch_run.SECONDS_BETWEEN_REPORTS]} seconds"),
    ],
)
def test_numbers_in_the_text_are_those_in_the_code(page, words):
    assert words in (DOCS / page).read_text().replace("\n", " ")


@pytest.mark.parametrize(
    ("field", "default"), [("Timeout", f"{ONCE.timeout:g}"), ("Retries", f"{ONCE.retry_policy.max_retries}")]
)
def test_the_defaults_of_a_connection_are_those_in_the_code(field, default):
    assert _row(DOCS / "connection.md", field)[-1] == default


def test_the_fields_of_the_form_are_those_that_airflow_shows():
    [zelto, *_] = get_provider_info()["connection-types"]
    labels = {declared["label"] for declared in zelto["conn-fields"].values()}
    [form] = [table for table in tables(DOCS / "connection.md") if "in the form" in table[0]]
    shown = {row["in the form"] for row in form}
    assert shown == labels | {
        "Connection Type",
        "Host",
        zelto["ui-field-behaviour"]["relabeling"]["password"],
    }


def test_the_services_are_those_that_have_a_connection_type():
    [listed] = [table for table in tables(DOCS / "connection.md") if "service" in table[0]]
    declared = [info["connection-type"] for info in get_provider_info()["connection-types"]]
    assert [row["connection type"].strip("`") for row in listed] == declared
    assert [row["default host"].strip("`") for row in listed] == [
        service.base_url for service in (ZELTO, ROARK, COVAL)
    ]


@pytest.mark.parametrize("state", ["accepted", "refused", "not enabled"])
def test_a_tested_connection_says_what_the_page_says(emulator, connect, state):
    if state == "refused":
        connect(emulator.url, password="another")
    emulator.settings(metrics_enabled=state != "not enabled")
    worked, words = ZeltoHook().test_connection()
    assert worked == (state == "accepted")
    assert _row(DOCS / "connection.md", words)


def test_the_limits_of_a_metric_are_those_in_the_code():
    arguments = [
        row["argument"].strip("`") for table in tables(DOCS / "hook.md") for row in table if "argument" in row
    ]
    assert arguments == list(models.NewCustomerMetric.model_fields)


def test_the_versions_page_lists_what_is_tested():
    listed, dependencies, extras = tables(DOCS / "versions.md")[:3]
    assert {row["Airflow"]: row["with Python"] for row in listed} == supported()

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lowest = {
        f"`{requirement.name}`": str(requirement.specifier).removeprefix(">=")
        for requirement in map(Requirement, project["dependencies"])
    }
    assert {row["dependency"]: row["lowest version"] for row in dependencies} == lowest

    brought = {row["extra"].strip("`"): {*re.findall(r"`([\w-]+)`", row["brings"])} for row in extras}
    declared = project["optional-dependencies"]
    assert brought == {
        extra: {Requirement(line).name for line in declared[extra]}
        for extra in declared.keys() - {"dev", "test"}
    }


def test_the_house_is_as_contributing_describes_it():
    [house] = [table for table in tables(ROOT / "CONTRIBUTING.md") if "row" in table[0]]
    rows, current = {}, 0
    for line in house:
        current = int(line["row"]) if line["row"].isdecimal() else current
        if line["row"] != "–":
            rows |= {name.strip("/"): current for name in re.findall(r"`([a-z_]+/?)`", line["modules"])}

    def room(module):
        return module.removeprefix(f"{PACKAGE}.").partition(".")[0]

    own = {name: own_imports(path) - {PACKAGE} for name, path in modules().items() if name != PACKAGE}
    own = {name: imported for name, imported in own.items() if not is_emulator(name)}
    assert {room(name) for name in own} == rows.keys()
    assert [
        (name, other)
        for name, imported in own.items()
        for other in imported
        if rows[room(other)] > rows[room(name)]
    ] == []
