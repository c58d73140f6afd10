from __future__ import annotations

import asyncio
import inspect
import socket
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_zelto.api_client import APIClient
from airflow_provider_zelto.exceptions import InvalidConnectionError, InvalidMetricError
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.models import NewCustomerMetric
from tests.raw_server import RawServer, http_answer

METRIC_ID = "5f0c1a2e-9b7d-4c1b-8a53-0e6f2d9c7b10"


def test_a_metric_is_submitted_whole(ask, emulator, call):
    stored = ask(
        "submit",
        call.upper(),
        label="Compliance Check",
        verdict="pass",
        score=Decimal("92.5"),
        note="Greeting missing\n— “sorry”",
        metric_id=METRIC_ID.upper(),
        external_id="row-1",
    )
    sent = {
        "label": "Compliance Check",
        "verdict": "pass",
        "score": 92.5,
        "note": "Greeting missing\n— “sorry”",
        "metricId": METRIC_ID,
        "externalId": "row-1",
    }
    assert emulator.journal()[0]["body"] == sent
    assert sent.items() <= stored.items()
    assert stored["conversationId"] == call


@pytest.mark.parametrize(
    ("given", "body"), [({"score": 0}, {"score": 0}), ({"verdict": "fail"}, {"verdict": "fail"})]
)
def test_what_is_not_set_is_not_sent(ask, emulator, call, given, body):
    ask("submit", call, label="a", **given)
    assert emulator.journal()[0]["body"] == {"label": "a", **body}


def test_submitting_again_replaces_the_metric_of_that_label(ask, emulator, call):
    first = ask("submit", call, label="a", score=1, note="n")
    second = ask("submit", call, label="a", verdict="pass")
    assert second["id"] == first["id"]
    assert second["updatedAt"] > first["updatedAt"]
    assert ask("list", call) == [second] == emulator.metrics(call)


def test_metrics_are_listed_in_the_order_zelto_gives_them(ask, emulator, call):
    for label in ("b", "a", "c"):
        emulator.add_metric(call, label, score=1)
    assert [metric["label"] for metric in ask("list", call)] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("what", "arguments", "fields"),
    [
        ("list", {"conversation_id": "../x"}, ["conversation_id"]),
        ("list", {"conversation_id": None}, ["conversation_id"]),
        (
            "submit",
            {"conversation_id": "x", "label": "", "score": 101},
            ["conversation_id", "label", "score"],
        ),
        ("submit", {"conversation_id": METRIC_ID, "label": "a"}, ["verdict and score"]),
    ],
)
def test_bad_arguments_never_reach_the_network(ask, emulator, what, arguments, fields):
    with pytest.raises(InvalidMetricError) as caught:
        ask(what, **arguments)
    assert [error.field for error in caught.value.errors] == fields
    assert emulator.journal() == []


anything = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
scores = st.one_of(
    st.integers(-5, 105),
    st.floats(-5, 105),
    st.decimals(-5, 105, allow_nan=True, places=3),
    st.integers(-5, 105).map(str),
    st.floats().map(str),
)


def text(limit):
    near_the_limit = st.integers(limit - 1, limit + 1).map("é".__mul__)
    return st.one_of(st.text(max_size=20), st.text(st.characters(codec=None), max_size=5), near_the_limit)


METRICS = st.fixed_dictionaries(
    {"label": text(255)},
    optional={
        "verdict": st.sampled_from(["pass", "fail"]) | anything,
        "score": scores | anything,
        "note": text(5000) | anything,
        "metric_id": st.uuids() | st.uuids().map(str) | anything,
        "external_id": text(255) | anything,
    },
)


@given(METRICS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_whatever_passes_the_checks_zelto_takes_and_nothing_else_is_sent(emulator, call, metric):
    emulator.clear_journal()
    try:
        checked = NewCustomerMetric.check({"conversation_id": call, **metric})
    except InvalidMetricError:
        checked = None
    with ZeltoHook() as hook:
        if checked is None:
            with pytest.raises(InvalidMetricError):
                hook.submit_customer_metric(call, **metric)
            assert emulator.journal() == []
            return
        stored = hook.submit_customer_metric(call, **metric)
    assert [entry["status"] for entry in emulator.journal()] == [201]
    body = checked.body()
    assert {name: stored[name] for name in body} == body
    assert stored in emulator.metrics(call)


def test_nothing_is_read_or_sent_when_a_hook_is_made(mocker):
    look_up = mocker.patch.object(ZeltoHook, "get_connection", autospec=True)
    connect = mocker.patch.object(socket, "create_connection", autospec=True)
    hook = ZeltoHook("no_such_connection")
    assert hook.zelto_conn_id == "no_such_connection"
    look_up.assert_not_called()
    connect.assert_not_called()


def test_a_hook_reads_the_connection_it_is_given(emulator, call, connect):
    connect("http://127.0.0.1:1")
    connect(emulator.url, conn_id="zelto_other")
    with ZeltoHook(zelto_conn_id="zelto_other") as hook:
        assert hook.list_customer_metrics(call) == []


def test_a_hook_keeps_its_connection_open_between_calls(call, mocker):
    opened = mocker.spy(socket, "create_connection")
    with ZeltoHook() as hook:
        for _ in range(3):
            hook.list_customer_metrics(call)
    assert opened.call_count == 1


def test_a_hook_is_closed_at_the_end_of_with_and_may_be_used_again(call, mocker):
    closed = mocker.spy(APIClient, "close")
    hook = ZeltoHook()
    for times in (1, 2):
        with hook:
            hook.list_customer_metrics(call)
            hook.list_customer_metrics(call)
        assert closed.call_count == times
    hook.close()
    assert closed.call_count == 2


def test_a_hook_that_goes_away_closes_its_connections(call, mocker):
    closed = mocker.spy(APIClient, "close")
    hook = ZeltoHook()
    hook.list_customer_metrics(call)
    del hook
    assert closed.call_count == 1


def test_threads_may_share_a_hook(emulator, call):
    emulator.settings(latency=0.01)
    with ZeltoHook() as hook, ThreadPoolExecutor(8) as threads:
        hook.get_conn()
        assert list(threads.map(hook.list_customer_metrics, [call] * 40)) == [[]] * 40


@pytest.mark.parametrize("name", ["submit_customer_metric", "list_customer_metrics"])
def test_each_method_has_a_twin_for_event_loops_with_the_same_arguments(name):
    twin = getattr(ZeltoHook, f"a{name}")
    assert inspect.iscoroutinefunction(twin)
    assert inspect.signature(twin) == inspect.signature(getattr(ZeltoHook, name))


def test_a_connection_that_cannot_be_used_is_told_on_first_use(connect):
    connect("http://api.zelto.ai")
    hook = ZeltoHook()
    with pytest.raises(InvalidConnectionError, match="zelto_default"):
        hook.list_customer_metrics(METRIC_ID)
    with pytest.raises(InvalidConnectionError, match="zelto_default"):
        asyncio.run(hook.alist_customer_metrics(METRIC_ID))


def test_the_test_of_a_connection_says_that_the_key_is_accepted(emulator):
    works, message = ZeltoHook().test_connection()
    assert works
    assert message.startswith("Zelto accepted the API key")
    (entry,) = emulator.journal()
    assert (entry["method"], entry["status"]) == ("GET", 404)
    assert entry["path"] == "/v1/conversations/00000000-0000-0000-0000-000000000000/customer-metrics"


def test_the_test_of_a_connection_says_that_the_key_is_refused(emulator, connect):
    connect(emulator.url, password="wrong-key")
    assert ZeltoHook().test_connection() == (False, "Zelto refused the API key.")


def test_the_test_of_a_connection_says_that_metrics_are_not_enabled(emulator):
    emulator.settings(metrics_enabled=False)
    assert ZeltoHook().test_connection() == (
        False,
        "Zelto accepted the API key, but metrics are not enabled for its organization.",
    )


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 503}, "503 Service Unavailable"),
        ({"status": 429, "retry_after": 3600}, "429 Too Many Requests"),
        ({"action": "reset"}, "could not be reached"),
        ({"action": "hang"}, "did not answer"),
        ({"action": "html", "status": 200}, "not documented"),
        ({"status": 302, "headers": {"Location": "https://login.example.com"}}, "redirect"),
    ],
)
def test_the_test_of_a_connection_says_what_went_wrong_without_asking_again(emulator, connect, fault, words):
    connect(emulator.url, extra={"timeout": 0.2})
    emulator.fault(**fault)
    works, message = ZeltoHook().test_connection()
    assert not works
    assert words in message
    assert len(emulator.journal()) == 1


@pytest.mark.parametrize(
    "page", [b"<html><h1>404 Not Found</h1><hr>nginx</html>", b"", b"404 page not found", b"[]"]
)
def test_another_server_that_knows_no_such_page_is_not_taken_for_zelto(connect, page):
    with RawServer(lambda _: http_answer(page, "404 Not Found")) as server:
        connect(server.url)
        works, message = ZeltoHook().test_connection()
    assert not works
    assert "accepted" not in message


@pytest.mark.parametrize(
    ("host", "fields", "words"),
    [
        ("http://api.zelto.ai", {}, "in the clear"),
        ("https://api.zelto.ai", {"password": None}, "the API key is missing"),
        ("https://127.0.0.1:1", {"extra": {"ca_bundle": "no-such-file.pem"}}, "no-such-file.pem"),
        ("http://127.0.0.1:1", {}, "could not be reached"),
    ],
)
def test_the_test_of_a_connection_says_what_is_wrong_with_it(connect, host, fields, words):
    connect(host, **fields)
    works, message = ZeltoHook().test_connection()
    assert not works
    assert words in message


@pytest.mark.usefixtures("emulator")
def test_airflow_itself_can_test_a_connection():
    from airflow.models import Connection

    works, message = Connection.get_connection_from_secrets("zelto_default").test_connection()
    assert works, message
