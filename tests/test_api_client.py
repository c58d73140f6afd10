from __future__ import annotations

import gzip
import json
import logging
import platform

import httpx
import pytest
from airflow import __version__ as airflow_version

from airflow_provider_zelto import __version__
from airflow_provider_zelto.exceptions import (
    APIResponseValidationError,
    APIStatusError,
    InternalServerError,
)
from tests.answers import CALL, EMPTY_LIST, PATH
from tests.conftest import API_KEY
from tests.raw_server import RawServer, http_answer


def test_what_was_submitted_is_listed(ask, emulator, call):
    stored = ask("submit", call, label="a", score="92.5", note="n", external_id="e")
    assert ask("list", call) == [stored] == emulator.metrics(call)
    assert (stored["label"], stored["score"], stored["note"], stored["externalId"]) == ("a", 92.5, "n", "e")


@pytest.mark.parametrize(("nulls", "verdict"), [("null", None), ("absent", "nothing")])
def test_what_a_metric_lacks_may_be_null_or_absent(ask, emulator, call, nulls, verdict):
    emulator.settings(nulls=nulls)
    stored = ask("submit", call, label="a", score=1)
    assert stored.get("verdict", "nothing") == verdict
    assert ask("list", call) == [stored]


def test_fields_that_the_api_adds_pass_through(ask, emulator, call):
    ask("submit", call, label="a", score=1)
    added = {**emulator.metrics(call)[0], "reviewer": {"id": 1}}
    emulator.fault(body={"data": [added], "next": None})
    assert ask("list", call) == [added]


def test_a_compressed_answer_is_read(ask, connect):
    body = gzip.compress(b'{"data": []}')
    with RawServer(lambda _: http_answer(body, "200 OK", "Content-Encoding: gzip")) as server:
        connect(server.url)
        assert ask("list", CALL) == []


def test_a_short_key_that_is_also_a_word_leaves_answers_alone(ask, connect):
    stored = {
        **dict.fromkeys(("id", "organizationId", "conversationId", "agentId", "source"), "x"),
        "label": "pass rate",
        "verdict": "pass",
        "createdAt": "2026-01-02T12:00:00Z",
        "updatedAt": "2026-01-02T12:00:00Z",
    }
    with RawServer(lambda _: http_answer(json.dumps({"data": [stored]}).encode())) as server:
        connect(server.url, password="pass")
        assert ask("list", CALL) == [stored]


def test_requests_say_who_they_come_from(ask, emulator, call):
    ask("list", call)
    assert emulator.journal()[0]["user_agent"].split() == [
        f"airflow-provider-zelto/{__version__}",
        f"apache-airflow/{airflow_version}",
        f"python/{platform.python_version()}",
    ]


def test_a_request_carries_the_key_and_nothing_that_was_not_asked_for(ask, connect):
    with RawServer(lambda _: EMPTY_LIST) as server:
        connect(f"{server.url}/gateway")
        ask("list", CALL)
    head = server.requests[0].decode().split("\r\n")
    assert head[0] == f"GET /gateway{PATH} HTTP/1.1"
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
    assert headers["authorization"] == f"Bearer {API_KEY}"
    assert headers["accept"] == "application/json"
    assert headers.keys() <= {
        *("host", "authorization", "user-agent", "accept", "accept-encoding", "connection"),
    }


def test_an_error_tells_what_was_asked_and_what_was_read_answer(ask, emulator, call):
    details = {"label": ["too long"]}
    emulator.fault(
        status=400, body={"error": "Validation failed", "message": "label is off", "details": details}
    )
    with pytest.raises(APIStatusError) as caught:
        ask("submit", call, label="Tone", score=1)
    error = caught.value
    path = f"/v1/conversations/{call}/customer-metrics"
    assert (error.service, error.method, error.path) == ("Zelto", "POST", path)
    assert (error.status_code, error.details, error.retry_after) == (400, details, None)
    assert str(error) == (
        f"Zelto answered 400 Bad Request to POST {path} (call {call}, label 'Tone'): "
        'Validation failed: label is off {"label": ["too long"]}. Correct the values sent.'
    )


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "Put a valid API key into the password field of the connection"),
        (403, "Have metrics enabled for the organization"),
        (404, "The key's organization has no such call"),
    ],
)
def test_an_error_says_what_to_do_about_it(ask, emulator, call, status, advice):
    emulator.fault(status=status)
    with pytest.raises(APIStatusError, match=advice):
        ask("list", call)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(ask, emulator, call, status):
    elsewhere = f"{emulator.url}/v1/conversations/{CALL}/customer-metrics"
    emulator.fault(status=status, headers={"Location": elsewhere}, count=1)
    with pytest.raises(APIResponseValidationError, match="redirect") as caught:
        ask("list", call)
    assert elsewhere in str(caught.value)
    assert [entry["status"] for entry in emulator.journal()] == [status]


def test_a_page_is_no_answer(ask, emulator, call):
    emulator.fault(action="html", status=200)
    with pytest.raises(APIResponseValidationError) as caught:
        ask("list", call)
    assert [entry["status"] for entry in emulator.journal()] == [200]
    assert "<!doctype html>" in str(caught.value)
    assert "Check the host of the connection" in str(caught.value)


def test_a_page_with_an_error_status_is_that_error(ask, emulator, call, connect):
    connect(emulator.url, extra={"max_retries": 1})
    emulator.fault(action="html", status=502)
    with pytest.raises(InternalServerError, match="502 Bad Gateway"):
        ask("list", call)
    assert [entry["status"] for entry in emulator.journal()] == [502, 502]


def test_an_answer_that_is_not_as_documented_is_not_asked_for_again(ask, emulator, call):
    emulator.fault(body={"data": [{"label": "a"}]})
    with pytest.raises(APIResponseValidationError, match=r"data\.0\.id: Field required"):
        ask("list", call)
    assert len(emulator.journal()) == 1


def test_requests_leave_no_line_in_the_log_above_debug(ask, call, caplog):
    for name in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
    ask("list", call)
    noise = ("httpx", "httpcore", "aiohttp", "airflow_provider_zelto")
    lines = [record for record in caplog.records if record.name.split(".")[0] in noise]
    assert [line.getMessage() for line in lines if line.levelno > logging.DEBUG] == []


def test_others_who_use_httpx_keep_their_lines(ask, emulator, call, caplog):
    ask("list", call)
    with caplog.at_level(logging.INFO, logger="httpx"), httpx.Client() as client:
        client.get(emulator.url)
    assert [record.levelname for record in caplog.records if record.name == "httpx"] == ["INFO"]
