"""After all other tests: where the keys are, and that they are nowhere else."""

from __future__ import annotations

import json
import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet
from playwright.sync_api import Browser, Page, expect

from airflow_provider_zelto.emulator import Emulator
from tests.e2e.browser import Connections, new_page
from tests.e2e.conftest import KEY, PROXY_PASSWORD, WRONG_KEY
from tests.e2e.runs import Run
from tests.live.local_airflow import LocalAirflow

_SECRETS = [KEY, WRONG_KEY, PROXY_PASSWORD]
_NEEDLES = [
    form
    for secret in _SECRETS
    for form in (secret.encode(), b64encode(secret.encode()).rstrip(b"="), secret.encode("utf-16-le"))
]


@pytest.fixture(scope="module")
def known(trigger: Callable[..., Run], zelto: Emulator) -> bytes:
    """Something that is no secret and turns up wherever a secret might."""
    call = zelto.add_conversation()
    assert trigger("example_zelto", conversation_id=call).end() == "success"
    return call.encode()


def _holds_a_secret(text: bytes) -> bool:
    return any(needle in text for needle in _NEEDLES)


def test_no_file_holds_a_key(folder: Path, known: bytes) -> None:
    contents = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert [path for path, content in contents.items() if _holds_a_secret(content)] == []
    holding = " ".join(path.name for path, content in contents.items() if known in content)
    assert "airflow.db" in holding
    assert "attempt=1.log" in holding
    names = {path.name for path in contents}
    assert names >= {"api-server.log", "dag-processor.log", "scheduler.log", "triggerer.log"}


@pytest.fixture
def database(airflow: LocalAirflow) -> Iterator[sqlite3.Connection]:
    """The metadata database."""
    path = airflow.home.path / "airflow.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        yield connection


def test_no_row_of_the_metadata_database_holds_a_key(database: sqlite3.Connection, known: bytes) -> None:
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {name: [repr(row) for row in database.execute(f'SELECT * FROM "{name}"')] for name in tables}
    leaks = [(name, row) for name, found in rows.items() for row in found if _holds_a_secret(row.encode())]
    assert leaks == []
    holding = {name for name, found in rows.items() if known in "".join(found).encode()}
    assert holding >= {"dag_run", "rendered_task_instance_fields", "xcom"}


def test_the_key_is_in_the_encrypted_connection(airflow: LocalAirflow, database: sqlite3.Connection) -> None:
    query = "SELECT password, is_encrypted FROM connection WHERE conn_id = 'zelto_default'"
    [(password, is_encrypted)] = database.execute(query)
    assert is_encrypted
    [fernet_key] = [
        line.partition("= ")[2]
        for line in (airflow.home.path / "airflow.cfg").read_text().splitlines()
        if line.startswith("fernet_key")
    ]
    assert Fernet(fernet_key).decrypt(password).decode() == KEY


def _pages_of(airflow: LocalAirflow, path: str) -> Iterator[dict[str, Any]]:
    """Give all pages of a list."""
    for seen in count(step=100):
        answer = airflow.api.ask("GET", f"{path}?limit=100&offset={seen}")
        yield answer
        if seen + 100 >= answer["total_entries"]:
            return


def _answers(airflow: LocalAirflow) -> Iterator[tuple[str, Any]]:
    """Ask the API for all that is about our DAGs and connections."""
    of_any_task = "/dags/~/dagRuns/~/taskInstances"
    names = ("connections", "dags", "eventLogs", "importErrors", "jobs", "pools", "providers", "variables")
    for path in (*(f"/{name}" for name in names), of_any_task, f"{of_any_task}/~/xcomEntries"):
        for answer in _pages_of(airflow, path):
            yield path, answer
            for one in map(_address, _entries(answer)):
                yield one, airflow.api.ask("GET", one)


def _entries(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for name in ("connections", "dags", "xcom_entries") for entry in answer.get(name, ())]


def _address(entry: dict[str, Any]) -> str:
    """Give the path of what an entry of a list is short for."""
    if "key" in entry:
        task = f"/dags/{entry['dag_id']}/dagRuns/{entry['run_id']}/taskInstances/{entry['task_id']}"
        return f"{task}/xcomEntries/{entry['key']}?map_index={entry['map_index']}"
    if "dag_id" in entry:
        return f"/dags/{entry['dag_id']}/details"
    return f"/connections/{entry['connection_id']}"


def test_no_answer_of_the_api_holds_a_key(airflow: LocalAirflow, known: bytes) -> None:
    answers = [(path, repr(answer).encode()) for path, answer in _answers(airflow)]
    assert [path for path, answer in answers if _holds_a_secret(answer)] == []
    holding = [path for path, answer in answers if known in answer]
    assert any("/xcomEntries/" in path for path in holding)
    assert any(path.endswith("/taskInstances") for path in holding)


def _pages(run: Run, call: str) -> dict[str, str]:
    """Give pages of Airflow's UI, each with words that it shows once it is complete."""
    path = f"/dags/{run.dag_id}/runs/{quote(run.run_id, safe='')}"
    task = f"{path}/tasks/submit"
    return {
        "/connections": "zelto_refused",
        "/dags": "example_zelto",
        path: "SubmitCustomerMetricOperator",
        f"{path}/events": "score_call",
        f"{path}/details": call,
        task: f"for call {call}",
        f"{task}/rendered_templates": call,
        f"{task}/xcom": "return_value",
        f"{task}/events": "success",
        f"{task}/code": "annotations",
        f"{task}/details": "Hostname",
        f"{path}/tasks/wait": call,
    }


def test_no_page_in_the_browser_holds_a_key(
    browser: Browser, airflow: LocalAirflow, zelto: Emulator, trigger: Callable[..., Run], tmp_path: Path
) -> None:
    call = zelto.add_conversation()
    run = trigger("example_zelto", conversation_id=call)
    assert run.end() == "success"
    archive = tmp_path / "pages.har"
    page = new_page(browser, record_har_path=archive, record_har_content="embed")
    ui = {airflow.home.url + path: words for path, words in _pages(run, call).items()}
    shown = {}
    for address, words in {**ui, zelto.url: call}.items():
        page.goto(address)
        expect(page.locator("body")).to_contain_text(words)
        shown[address] = _content_of(page)
    Connections(page, airflow.home.url).edit("zelto_default")
    shown["the form"] = _content_of(page)
    page.context.close()
    assert [address for address, content in shown.items() if _holds_a_secret(content)] == []
    answers = [_body(entry) for entry in json.loads(archive.read_text())["log"]["entries"]]
    assert not any(map(_holds_a_secret, answers))
    assert sum(call.encode() in answer for answer in answers) > 3


def _content_of(page: Page) -> bytes:
    """Give the DOM, and its text alone too: colouring takes values apart."""
    return f"{page.content()}\n{page.locator('body').text_content()}".encode()


def _body(entry: dict[str, Any]) -> bytes:
    """Give what an entry of a browser's archive was answered."""
    content = entry["response"]["content"]
    text: str = content.get("text", "")
    return b64decode(text) if content.get("encoding") == "base64" else text.encode()
