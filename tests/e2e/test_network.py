"""Certificates, a proxy and names that lead nowhere, as the connection of a task meets them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from airflow_provider_zelto.emulator import Emulator
from tests.e2e.conftest import KEY, PROXY_PASSWORD
from tests.e2e.network import Proxy, forward_proxy, tls_relays
from tests.e2e.runs import Run
from tests.live.local_airflow import LocalAirflow

_WORKS = ("private_ca", "behind_a_proxy")
_FAILS = {
    "private_ca_unknown": [
        "APIConnectionError",
        "certificate",
        "Set ca_bundle in the extra of the connection",
    ],
    "name_that_does_not_match": ["APIConnectionError", "certificate", "127.0.0.1"],
    "proxy_that_refuses": ["APIConnectionError", "407", "proxy"],
    "proxy_that_is_not_there": ["APIConnectionError", "Check the host (and proxy) of the connection"],
    "unknown_host": ["APIConnectionError", "Check the host (and proxy) of the connection"],
}
_CASES = [*_WORKS, *_FAILS]


@dataclass
class Met:
    """What the connections of all cases met."""

    run: Run
    call: str
    proxy: Proxy
    port: int


@pytest.fixture(scope="module")
def met(
    airflow: LocalAirflow, trigger: Callable[..., Run], zelto: Emulator, tmp_path_factory: Any, folder: Path
) -> Iterator[Met]:
    authority = trustme.CA()
    bundle = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    target = int(zelto.url.rpartition(":")[2])
    with (
        tls_relays(target, authority, "127.0.0.1", "zelto.example") as (port, misnamed),
        forward_proxy(folder, "airflow", PROXY_PASSWORD) as proxy,
    ):
        host, trusted = f"https://127.0.0.1:{port}", {"ca_bundle": str(bundle), "max_retries": 1}
        proxy_url = f"http://airflow:{PROXY_PASSWORD}@127.0.0.1:{proxy.port}"
        connections: dict[str, tuple[str, dict[str, Any]]] = {
            "private_ca": (host, trusted),
            "behind_a_proxy": (host, {**trusted, "proxy": proxy_url}),
            "private_ca_unknown": (host, {}),
            "name_that_does_not_match": (f"https://127.0.0.1:{misnamed}", trusted),
            "proxy_that_refuses": (host, {**trusted, "proxy": proxy_url.replace(":e2e", ":not-e2e")}),
            "proxy_that_is_not_there": (host, {**trusted, "proxy": "http://127.0.0.1:9"}),
            "unknown_host": ("https://api.zelto.invalid", {"max_retries": 1}),
        }
        for conn_id, (url, extra) in connections.items():
            connection = {"conn_type": "zelto", "host": url, "password": KEY, "extra": json.dumps(extra)}
            airflow.api.add_connection(conn_id, connection)
        call = zelto.add_conversation()
        zelto.add_metric(call, "Empathy", score=7)
        run = trigger("e2e_network", conversation_id=call, conn_ids=_CASES)
        run.end()
        yield Met(run, call, proxy, port)
    for conn_id in connections:
        # Airflow shows the extra of a connection, proxy included, to whoever may see connections.
        airflow.api.ask("DELETE", f"/connections/{conn_id}")


@pytest.mark.parametrize("case", _WORKS)
def test_what_is_set_up_well_works(met: Met, zelto: Emulator, case: str) -> None:
    number = _CASES.index(case)
    assert met.run.instance("list", number)["state"] == "success", met.run.last_words(
        "list", map_index=number
    )
    assert met.run.xcom("list", number) == zelto.metrics(met.call)


def test_the_proxy_is_used(met: Met) -> None:
    assert met.proxy.tunnels(met.port) == 1


@pytest.mark.parametrize("case", _FAILS)
def test_what_is_not_is_told_in_the_log(met: Met, case: str) -> None:
    number = _CASES.index(case)
    assert met.run.instance("list", number)["state"] == "failed"
    last_words = met.run.last_words("list", map_index=number)
    for word in _FAILS[case]:
        assert word in last_words
