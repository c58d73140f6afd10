"""Asking an Airflow that is only just starting, on a port that somebody else may have."""

from __future__ import annotations

import pytest

from tests.live.airflow_api import AirflowApi
from tests.live.processes import free_port
from tests.raw_server import RawServer


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    "body", [b'{"data": []}', b"[]", b'"up"', b'{"scheduler": {}}', b"<html>", b'{"scheduler": null}']
)
def test_an_answer_of_somebody_else_is_not_airflows(body: bytes) -> None:
    with RawServer(lambda request: _answer(body)) as server:
        assert AirflowApi(server.url).unhealthy() == ["api-server"]
        assert server.connections == 1


def test_nobody_at_the_port_is_an_airflow_that_has_not_started() -> None:
    assert AirflowApi(f"http://127.0.0.1:{free_port()}").unhealthy() == ["api-server"]


def test_an_airflow_whose_parts_are_well_is_healthy() -> None:
    body = b'{"scheduler": {"status": "healthy"}, "triggerer": {"status": null}}'
    with RawServer(lambda request: _answer(body)) as server:
        assert AirflowApi(server.url).unhealthy() == []
