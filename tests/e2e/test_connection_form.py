from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from airflow_provider_zelto.emulator import Emulator
from airflow_provider_zelto.get_provider_info import get_provider_info
from tests.e2e.browser import Connections
from tests.e2e.conftest import KEY
from tests.e2e.runs import Run
from tests.live.airflow_home import AIRFLOW_VERSION
from tests.live.local_airflow import LocalAirflow

_DECLARED = {info["hook-name"]: info for info in get_provider_info()["connection-types"]}
# Airflow asks for the key again when a stored connection without a port is tested by the button.
_NEEDS_A_PORT = {"3.2.2", "3.3.2"}


@pytest.fixture
def in_browser(page: Page, airflow: LocalAirflow) -> Connections:
    return Connections(page, airflow.home.url)


def _conn_id(name: str) -> str:
    return f"form_{name.lower()}"


def _host(zelto: Emulator, name: str) -> str:
    return zelto.url + {"Zelto": "", "Roark": "/roark", "Coval": "/coval"}[name]


@pytest.mark.parametrize("name", _DECLARED)
def test_the_form_shows_the_declared_fields_and_keeps_what_is_typed(
    in_browser: Connections, airflow: LocalAirflow, zelto: Emulator, name: str
) -> None:
    form = in_browser.add(_conn_id(name), name)
    extras = [field["label"] for field in _DECLARED[name]["conn-fields"].values()]
    assert form.labels() == ["Description", "Host", "API key", *extras]
    expect(form.field("API key")).to_have_attribute("type", "password")
    placeholder = _DECLARED[name]["ui-field-behaviour"]["placeholders"]["password"]
    expect(form.field("API key")).to_have_attribute("placeholder", placeholder)

    typed = {
        "Description": f"Made by hand for {name}",
        "Host": _host(zelto, name),
        "Timeout (seconds)": "12.5",
        "Retries": "2",
    }
    form.fill({**typed, "API key": KEY})
    form.save()
    stored = airflow.api.ask("GET", f"/connections/{_conn_id(name)}")
    assert (stored["conn_type"], stored["host"]) == (name.lower(), _host(zelto, name))

    again = in_browser.edit(_conn_id(name))
    again.expect(typed)
    assert again.field("API key").input_value() == "***"
    again.reveal("API key")
    assert again.field("API key").input_value() == "***"
    assert KEY not in in_browser.page.content()

    again.fill({"Retries": "3"})
    again.save()
    in_browser.edit(_conn_id(name)).expect({**typed, "Retries": "3"})


def test_the_keys_survive_the_editing(trigger: Callable[..., Run]) -> None:
    run = trigger("e2e_connections", conn_ids=[_conn_id(name) for name in _DECLARED])
    assert run.end() == "success"
    for number, name in enumerate(_DECLARED):
        assert run.xcom("test", number) == [True, f"{name} accepted the API key."]


@pytest.mark.parametrize("name", _DECLARED)
def test_the_test_button_asks_the_service(
    in_browser: Connections, airflow: LocalAirflow, zelto: Emulator, name: str
) -> None:
    conn_id = f"button_{name.lower()}"
    port = int(zelto.url.rpartition(":")[2])
    connection = {"conn_type": name.lower(), "host": _host(zelto, name), "port": port, "password": KEY}
    airflow.api.add_connection(conn_id, connection)
    assert in_browser.test(conn_id) == (200, {"status": True, "message": f"{name} accepted the API key."})
    airflow.api.ask(
        "PATCH",
        f"/connections/{conn_id}?update_mask=password",
        {**connection, "connection_id": conn_id, "password": "nonsense"},
    )
    assert in_browser.test(conn_id) == (200, {"status": False, "message": f"{name} refused the API key."})


def test_the_test_button_works_without_a_port_where_airflow_lets_it(in_browser: Connections) -> None:
    status, answer = in_browser.test(_conn_id("Zelto"))
    if AIRFLOW_VERSION in _NEEDS_A_PORT:
        assert (status, "Include the credentials" in str(answer)) == (400, True)
    else:
        assert (status, answer["status"]) == (200, True)
