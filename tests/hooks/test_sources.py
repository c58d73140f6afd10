from __future__ import annotations

import pytest

from airflow_provider_zelto.exceptions import (
    APIError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    InvalidConnectionError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)
from tests.conftest import API_KEY
from tests.sources import host

pytest_plugins = ["tests.source_fixtures"]


@pytest.fixture
def ask(source, list_metrics):
    return lambda *args, **kwargs: list_metrics(source, *args, **kwargs)


@pytest.fixture
def path(source):
    return source.path.format(source.example_id)


def test_a_call_that_is_not_there_is_told(ask, source, path):
    with pytest.raises(NotFoundError) as caught:
        ask(source.example_id)
    assert str(caught.value).startswith(
        f"{source.title} answered 404 Not Found to GET {path} {source.not_found.format(source.example_id)}"
    )
    assert source.not_found_advice in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (429, RateLimitError),
        (503, InternalServerError),
    ],
)
def test_every_error_has_its_class(ask, emulator, source, path, status, error_class):
    emulator.fault(status=status)
    with pytest.raises(error_class) as caught:
        ask(source.add_call(source.example_id))
    error = caught.value
    assert (error.service, error.method, error.path) == (source.title, "GET", path)
    assert error.status_code == status


def test_the_address_of_a_service_is_known(source, connect_source):
    connect_source(source.name, None)
    assert source.hook().get_settings().base_url == source.url


def test_a_hook_reads_the_connection_it_is_given(emulator, source, connect_source):
    call = source.add_call()
    source.add(call, source.metrics[0], 4)
    connect_source(source.name, host(emulator, source.name), conn_id="another")
    connect_source(source.name, "http://127.0.0.1:1")
    argument = source.hook.conn_name_attr
    hook = source.hook(**{argument: "another"})
    assert getattr(hook, argument) == "another"
    assert len(list(getattr(hook, source.method)(call))) == 1


def test_nothing_is_read_when_a_hook_is_made(mocker, source):
    look_up = mocker.patch.object(source.hook, "get_connection", autospec=True)
    source.hook("no_such_connection")
    look_up.assert_not_called()


def test_a_connection_that_cannot_be_used_is_told_on_first_use(ask, source, connect_source):
    connect_source(source.name, source.url.replace("https", "http"))
    with pytest.raises(InvalidConnectionError, match=f"{source.name}_default"):
        ask(source.example_id)


def test_the_test_of_a_connection_says_that_the_key_is_accepted(emulator, source):
    assert source.hook().test_connection() == (True, f"{source.title} accepted the API key.")
    (entry,) = emulator.journal()
    assert (entry["status"], entry["authorized"]) == (404, True)


def test_the_test_of_a_connection_says_that_the_key_is_refused(emulator, source, connect_source):
    connect_source(source.name, host(emulator, source.name), password="wrong-key")
    assert source.hook().test_connection() == (False, f"{source.title} refused the API key.")


def test_the_test_of_a_connection_says_that_the_key_may_not_read(emulator, source):
    emulator.fault(status=403)
    words = f"{source.title} accepted the API key, but {source.not_allowed}."
    assert source.hook().test_connection() == (False, words)


@pytest.mark.parametrize(
    ("fault", "words"),
    [({"status": 503}, "503 Service Unavailable"), ({"action": "html", "status": 200}, "not documented")],
)
def test_the_test_of_a_connection_says_what_went_wrong_without_asking_again(emulator, source, fault, words):
    emulator.fault(**fault)
    works, message = source.hook().test_connection()
    assert not works
    assert words in message
    assert len(emulator.journal()) == 1


@pytest.mark.parametrize("page", ["<h1>404 Not Found</h1>", "", "[]"])
def test_another_server_that_knows_no_such_page_is_not_taken_for_the_service(emulator, source, page):
    emulator.fault(status=404, body=page)
    works, message = source.hook().test_connection()
    assert not works
    assert "accepted" not in message


def test_airflow_itself_can_test_a_connection(source):
    from airflow.models import Connection

    works, message = Connection.get_connection_from_secrets(f"{source.name}_default").test_connection()
    assert works, message


def test_no_error_and_no_log_shows_the_key(ask, emulator, source, logged):
    echo = source.error(f"key {API_KEY}", {"sent": API_KEY})
    emulator.fault(status=503, body=echo, count=1)
    emulator.fault(status=400, body=echo)
    with pytest.raises(APIError) as caught:
        ask(source.example_id)
    shown = [str(caught.value), repr(vars(caught.value)), *(line.text for line in logged())]
    assert any("***" in text for text in shown)
    assert [text for text in shown if API_KEY in text] == []
