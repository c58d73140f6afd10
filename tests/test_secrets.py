from __future__ import annotations

import gzip
import json
import os
import pickle
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from airflow.models.trigger import Trigger
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_zelto.exceptions import APIError, error_to_json
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.operators.zelto import ListCustomerMetricsOperator, SubmitCustomerMetricOperator
from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor
from airflow_provider_zelto.triggers.zelto import CustomerMetricsTrigger
from example_dags.example_zelto import example_zelto
from tests.answers import CALL, read_answer
from tests.conftest import API_KEY
from tests.raw_server import RawServer, http_answer
from tests.sensors.waiting import MODES, RUN

PROXY_PASSWORD = "pr0xy-s3cret"
KEYS = {"plain": API_KEY, "escaped": 'zk-"3f1d\\9c07/a4e8<4b52>&%2F'}


def spellings(secret):
    return {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe=""), secret[4:]}


def assert_hidden(text, secret):
    shown = [spelling for spelling in spellings(secret) if spelling in text]
    assert shown == [], text


def everything_in(error):
    """Give all that an error can show of itself, its causes and its traceback."""
    told = [str(error), repr(error), *traceback.format_exception(error)]
    chain = error
    while chain is not None:
        told += [repr(chain), repr(getattr(chain, "args", ())), repr(vars(chain))]
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    if isinstance(error, APIError):
        told += [json.dumps(error_to_json(error)), repr(vars(pickle.loads(pickle.dumps(error))))]
    return "\n".join(told)


@pytest.fixture(autouse=True)
def without_airflows_own_masking(monkeypatch):
    """Let Airflow hide nothing in its logs that we have not hidden ourselves."""
    maskers = {
        masker
        for module in list(sys.modules.values())
        if (masker := vars(module).get("SecretsMasker")) is not None
    }
    assert maskers
    for masker in maskers:
        monkeypatch.setattr(masker, "add_mask", lambda *args, **kwargs: None)
        monkeypatch.setattr(masker, "filter", lambda *args, **kwargs: True)


def unicode_escaped(text):
    return "".join(f"\\u{ord(character):04x}" for character in text)


BODIES = {
    "words": lambda key: json.dumps({"error": key, "message": f"bad key {key}!"}),
    "details": lambda key: json.dumps({"error": "no", "details": {"key": key, key: [{"a": f"<{key}>"}]}}),
    "nested": lambda key: json.dumps({"error": {"seen": key}, "message": [key]}),
    "escaped": lambda key: f'{{"error": "{unicode_escaped(key)}", "details": ["{unicode_escaped(key)}"]}}',
    "list": lambda key: json.dumps([key]),
    "text": lambda key: f"Unknown key {key}",
    "wrong_shape": lambda key: json.dumps({"data": [{"label": key, key: key}]}),
    "wrong_field": lambda key: json.dumps({"data": {key: key}, key: key}),
    "invalid": lambda key: f'{{"data": "{key}',
}


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_key_in_the_body_of_an_answer_is_not_shown(body, key, status):
    with pytest.raises(APIError) as caught:
        read_answer(status, body(key).encode(), api_key=key)
    assert_hidden(everything_in(caught.value), key)


@pytest.mark.parametrize("quoted", [str, lambda key: quote(key, safe="")], ids=["plain", "quoted"])
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_in_a_redirect_is_not_shown(key, quoted):
    with pytest.raises(APIError) as caught:
        read_answer(302, api_key=key, location=f"https://example.com/?key={quoted(key)}")
    assert_hidden(everything_in(caught.value), key)


ECHOES = {
    "body": lambda key: http_answer(json.dumps({"error": key, "details": [key]}).encode(), "401 No"),
    "gzip": lambda key: http_answer(
        gzip.compress(json.dumps({"error": key}).encode()), "401 No", "Content-Encoding: gzip"
    ),
    "reason": lambda key: http_answer(b"{}", f"401 {key}"),
    "retry_after": lambda key: http_answer(b"{}", "429 Slow", f"Retry-After: {key}"),
    "bad_status_line": lambda key: f"KEY {key}\r\n\r\n".encode(),
    "bad_header": lambda key: f"HTTP/1.1 200 OK\r\nkey {key}\r\n\r\n".encode(),
    "bad_length": lambda key: f"HTTP/1.1 200 OK\r\nContent-Length: {key}\r\n\r\n".encode(),
    "bad_chunk": lambda key: f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{key}\r\n".encode(),
    "cut": lambda key: f"HTTP/1.1 400 No\r\nContent-Length: 999\r\n\r\n{key}".encode(),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_a_key_that_a_server_sends_back_is_not_shown(ask, connect, no_backoff, logged, echo):
    with RawServer(lambda request: echo(request.partition(b"Bearer ")[2].split()[0].decode())) as server:
        connect(server.url, extra={"max_retries": 1, "timeout": 5})
        with pytest.raises(APIError) as caught:
            ask("submit", CALL, label="a", score=1)
    assert_hidden(everything_in(caught.value), API_KEY)
    # What httpcore logs of an answer is the server's doing.
    ours = [line.text for line in logged() if "receive_response_" not in line.text]
    assert_hidden("\n".join(ours), API_KEY)


FAULTS = [
    *({"status": status} for status in (400, 401, 403, 404, 408, 418, 429, 500, 503)),
    {"status": 429, "retry_after": 3600},
    {"status": 302, "headers": {"Location": "https://example.com/"}},
    {"action": "reset"},
    {"action": "hang"},
    {"action": "cut_body"},
    {"action": "html", "status": 200},
    {"action": "html", "status": 502},
    {"body": {"data": None}},
    {"body": "not JSON"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_no_failure_shows_the_key(ask, emulator, connect, call, logged, fault):
    connect(emulator.url, extra={"max_retries": 1, "timeout": 0.1})
    emulator.fault(**fault)
    with pytest.raises(APIError) as caught:
        ask("list", call)
    assert_hidden(everything_in(caught.value), API_KEY)
    assert_hidden("\n".join(line.text for line in logged()), API_KEY)


@pytest.mark.parametrize(
    ("host", "fields"),
    [
        ("http://127.0.0.1:1", {}),
        ("https://127.0.0.1:1", {}),
        ("https://api.zelto.example", {"extra": {"proxy": f"http://user:{PROXY_PASSWORD}@127.0.0.1:1"}}),
        ("https://api.zelto.ai", {"extra": {"proxy": f"ftp://user:{PROXY_PASSWORD}@127.0.0.1:1"}}),
        ("https://api.zelto.ai", {"extra": {"timeout": "soon", "ca_bundle": 5}}),
        ("https://api.zelto.ai", {"extra": {"ca_bundle": "no-such-file.pem"}}),
        ("http://api.zelto.ai", {}),
        (f"https://{API_KEY}@api.zelto.ai", {}),
        (f"https://api.zelto.ai/?key={API_KEY}", {}),
        ("https://api.zelto.ai", {"password": f"{API_KEY}\n{API_KEY}"}),
    ],
    ids=lambda value: str(value).replace(API_KEY, "KEY").replace(PROXY_PASSWORD, "PASSWORD"),
)
def test_no_connection_that_does_not_work_shows_its_secrets(ask, connect, no_backoff, logged, host, fields):
    connect(host, **{"extra": {"max_retries": 0}, **fields})
    with pytest.raises(Exception, match=r"\bZelto\b|zelto_default") as caught:
        ask("list", CALL)
    told = "\n".join([everything_in(caught.value), *(line.text for line in logged())])
    assert_hidden(told, API_KEY)
    assert_hidden(told, PROXY_PASSWORD)
    works, message = ZeltoHook().test_connection()
    assert not works
    assert_hidden(message, API_KEY)
    assert_hidden(message, PROXY_PASSWORD)


@pytest.fixture(params=MODES)
def sensor(request, call, short_pauses):
    def make(**arguments):
        return CustomerMetricsSensor(
            task_id="wait",
            conversation_id=call,
            poke_interval=0.05,
            timeout=5,
            **MODES[request.param],
            **arguments,
        )

    return lambda **arguments: RUN[request.param](lambda: make(**arguments))


def test_what_goes_well_does_not_show_the_key(emulator, call, sensor, logged):
    submit = SubmitCustomerMetricOperator(task_id="submit", conversation_id=call, label="a", score="{{ 1 }}")
    submit.render_template_fields({})
    emulator.add_metric(call, "b", score=1, after=0.1)
    xcoms = [
        submit.execute({}),
        sensor(labels=["a", "b"]),
        ListCustomerMetricsOperator(task_id="list", conversation_id=call).execute({}),
    ]
    rendered = [str(getattr(submit, field)) for field in submit.template_fields]
    assert_hidden(json.dumps(xcoms), API_KEY)
    assert_hidden("\n".join(rendered), API_KEY)
    assert_hidden("\n".join(line.text for line in logged()), API_KEY)
    assert len(logged()) > 10


@pytest.mark.parametrize("fault", [{"status": 401}, {"status": 503}, {"action": "reset"}], ids=str)
def test_a_wait_that_fails_does_not_show_the_key(emulator, call, connect, sensor, logged, fault):
    connect(emulator.url, extra={"max_retries": 0})
    emulator.fault(**fault)
    with pytest.raises(APIError) as caught:
        sensor(max_consecutive_failures=2)
    assert_hidden(everything_in(caught.value), API_KEY)
    assert_hidden("\n".join(line.text for line in logged()), API_KEY)


def test_what_airflow_stores_of_a_wait_does_not_hold_the_key(call):
    sensor = CustomerMetricsSensor(task_id="wait", conversation_id=call, deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute({})
    trigger = caught.value.trigger
    row = Trigger.from_object(trigger)
    stored = [repr(trigger.serialize()), repr(row.kwargs), repr(vars(caught.value)), repr(vars(sensor))]
    assert_hidden("\n".join(stored), API_KEY)


def test_nothing_that_airflow_writes_during_a_run_holds_the_key(call, run_dag):
    assert run_dag(example_zelto(), conversation_id=call).state == "success"
    files = [path for path in Path(os.environ["AIRFLOW_HOME"]).rglob("*") if path.is_file()]
    assert "airflow.db" in {path.name for path in files}
    assert [path for path in files if API_KEY.encode() in path.read_bytes()] == []


def test_nothing_shows_the_key_when_it_is_printed(call):
    with ZeltoHook() as hook:
        client = hook.get_conn()
        things = [hook, client, client.settings, CustomerMetricsTrigger(conversation_id=call)]
        assert_hidden("\n".join(f"{thing} {thing!r}" for thing in things), API_KEY)
