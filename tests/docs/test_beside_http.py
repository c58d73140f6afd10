"""Each row of the README's comparison with the HTTP provider, tried with both."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from importlib.metadata import version

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    TaskDeferred,
)

from airflow_provider_zelto.exceptions import (
    APIResponseValidationError,
    APITimeoutError,
    InvalidConnectionError,
    InvalidMetricError,
)
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.operators.zelto import (
    BulkSubmitCustomerMetricsOperator,
    SubmitCustomerMetricOperator,
)
from airflow_provider_zelto.sensors.zelto import CustomerMetricsSensor
from airflow_provider_zelto.triggers.zelto import CustomerMetricsTrigger
from tests.conftest import API_KEY
from tests.docs.papers import ROOT, tables

# Anywhere else a missing provider is an error, which hides nothing.
if "NOX_CURRENT_SESSION" in os.environ:
    pytest.skip(
        "the README compares with one HTTP provider, on the Airflow of make test", allow_module_level=True
    )

from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.providers.http.triggers.http import HttpSensorTrigger

README = ROOT / "README.md"
TRIED: set[str] = set()


def row(first_cell: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Say which row of the table a test tries."""
    TRIED.add(first_cell)
    return lambda test: test


@pytest.fixture(autouse=True)
def both_connections(emulator, monkeypatch):
    header = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    http = {"conn_type": "http", "host": emulator.url, "extra": header}
    monkeypatch.setenv("AIRFLOW_CONN_HTTP_ZELTO", json.dumps(http))


def path(call):
    return f"/v1/conversations/{call}/customer-metrics"


def ours(call, **fields):
    return SubmitCustomerMetricOperator(task_id="ours", conversation_id=call, label="Tone", **fields)


def by_hand(call, **fields):
    body = json.dumps({"label": "Tone", **fields})
    return HttpOperator(task_id="by_hand", http_conn_id="http_zelto", endpoint=path(call), data=body)


def ask_by_hand(call, **arguments):
    return HttpSensor(task_id="by_hand", http_conn_id="http_zelto", endpoint=path(call), **arguments)


def statuses(emulator):
    return [entry["status"] for entry in emulator.journal()]


@row("`score=500`")
def test_a_bad_score(emulator, call):
    with pytest.raises(InvalidMetricError, match="score: 500 is not a number from 0 to 100"):
        ours(call, score=500)
    templated = ours(call, score="{{ 250 * 2 }}")
    templated.render_template_fields({})
    with pytest.raises(InvalidMetricError, match="score: '500' is not a number from 0 to 100"):
        templated.execute({})
    assert statuses(emulator) == []
    with pytest.raises(AirflowException, match=r"^400"):
        by_hand(call, score=500).execute({})
    assert statuses(emulator) == [400]


@row("400, 401, 403")
@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_request_that_is_refused(emulator, call, status):
    emulator.fault(status=status)
    with pytest.raises(AirflowFailException):
        ours(call, score=92).execute({})
    with pytest.raises(AirflowException) as caught:
        by_hand(call, score=92).execute({})
    assert not isinstance(caught.value, AirflowFailException)


@row("429, 503, a connection cut")
@pytest.mark.parametrize("fault", [{"status": 429, "retry_after": 0}, {"status": 503}, {"action": "reset"}])
def test_a_passing_failure(emulator, call, fault):
    emulator.fault(**fault, count=1)
    assert ours(call, score=92).execute({})["score"] == 92
    assert len(statuses(emulator)) == 2
    emulator.clear_faults()
    emulator.fault(**fault, count=1)
    with pytest.raises((AirflowException, OSError)):
        by_hand(call, score=92).execute({})
    assert len(statuses(emulator)) == 3


@row("no answer")
def test_no_answer(emulator, call, connect, monkeypatch):
    assert ZeltoHook().get_settings().timeout == 30
    connect(emulator.url, extra={"timeout": 0.3, "max_retries": 0})
    emulator.fault(action="hang", count=1)
    with pytest.raises(APITimeoutError):
        ours(call, score=92).execute({})

    from requests import Session

    send, limits = Session.send, []

    def noted(self, request, **options):
        limits.append(options["timeout"])
        return send(self, request, **options)

    monkeypatch.setattr(Session, "send", noted)
    by_hand(call, score=92).execute({})
    assert limits == [None]


@row("a proxy's HTML page with status 200")
def test_a_page_of_html(emulator, call):
    emulator.fault(action="html", status=200)
    with pytest.raises(APIResponseValidationError):
        ours(call, score=92).execute({})
    assert by_hand(call, score=92).execute({}).startswith("<!doctype html>")


@row("XCom")
def test_what_lands_in_xcom(call):
    assert ours(call, score=92).execute({})["score"] == 92
    assert isinstance(by_hand(call, score=92).execute({}), str)


@row("wait for certain labels")
def test_a_wait_for_labels(emulator, call):
    with pytest.raises(TaskDeferred):
        CustomerMetricsSensor(task_id="ours", conversation_id=call, labels=["Tone"], deferrable=True).execute(
            {}
        )
    asked = len(statuses(emulator))
    with pytest.raises(AirflowSensorTimeout):
        ask_by_hand(
            call,
            response_check=lambda response: "Tone" in response.text,
            deferrable=True,
            poke_interval=0.05,
            timeout=0.3,
        ).execute({})
    assert len(statuses(emulator)) > asked + 1
    # Without a check any answer ends the wait, an empty list too.
    ask_by_hand(call, deferrable=True).execute({})


@row("503 during a wait")
def test_a_failure_during_a_wait(emulator, call, connect):
    connect(emulator.url, extra={"max_retries": 0})
    emulator.add_metric(call, "Tone", score=92)
    emulator.fault(status=503, count=1)
    wait = CustomerMetricsSensor(
        task_id="ours", conversation_id=call, deferrable=False, poke_interval=0.05, timeout=20
    )
    assert [metric["label"] for metric in wait.execute({})] == ["Tone"]
    assert statuses(emulator) == [503, 200]
    emulator.fault(status=503, count=1)
    with pytest.raises(AirflowException, match=r"^503"):
        ask_by_hand(call, poke_interval=0.05, timeout=20).execute({})


@row("401 once deferred")
async def test_a_key_that_is_refused_once_deferred(emulator, call):
    emulator.fault(status=401)
    trigger = CustomerMetricsTrigger(conversation_id=call, poke_interval=60)
    async with asyncio.timeout(20):
        assert await anext(trigger.run())
    assert statuses(emulator) == [401]
    trigger = HttpSensorTrigger(http_conn_id="http_zelto", endpoint=path(call), poke_interval=60)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await anext(trigger.run())
    assert len(statuses(emulator)) > 5


@row("thousands of metrics")
def test_many_metrics(emulator, call):
    rows = [{"conversation_id": call, "label": f"Check {number}", "score": number} for number in range(40)]
    bulk = BulkSubmitCustomerMetricsOperator(task_id="ours", metrics=rows)
    assert bulk.execute({})["submitted"] == 40
    assert len(statuses(emulator)) == 40
    by_hand(call, score=92).execute({})
    assert len(statuses(emulator)) == 41


@row("`http://` by mistake")
def test_an_address_without_encryption(connect, monkeypatch):
    connect("http://zelto.example.com")
    with pytest.raises(InvalidConnectionError, match="http://"):
        ZeltoHook().get_settings()
    connect("http://127.0.0.1:8765")
    assert ZeltoHook().get_settings()
    monkeypatch.setenv("AIRFLOW_CONN_HTTP_ZELTO", '{"conn_type": "http", "host": "zelto.example.com"}')
    hook = HttpHook(http_conn_id="http_zelto")
    hook.get_conn()
    assert hook.base_url == "http://zelto.example.com"


def test_every_row_is_tried():
    [comparison] = [table for table in tables(README) if "this provider" in table[0]]
    assert {line[""] for line in comparison} == TRIED


def test_the_version_that_is_named_is_the_one_that_is_tried():
    assert f"`apache-airflow-providers-http` {version('apache-airflow-providers-http')}" in README.read_text()
