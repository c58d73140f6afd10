from __future__ import annotations

import json
from urllib.parse import quote

import httpx
import pytest
from airflow.providers.common.compat.sdk import Connection
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_zelto.api_client import APIClient
from airflow_provider_zelto.api_request import APIRequest, ClientSettings, RetryPolicy
from airflow_provider_zelto.connection import client_settings
from airflow_provider_zelto.exceptions import InvalidConnectionError
from airflow_provider_zelto.hooks.zelto import ZeltoHook
from airflow_provider_zelto.services import ZELTO
from tests.conftest import API_KEY


def settings(base_url="https://api.zelto.ai", *, api_key=API_KEY, max_retries=4, **options):
    return ClientSettings(ZELTO, base_url, api_key, retry_policy=RetryPolicy(max_retries), **options)


def url_of_a_request(settings):
    """Give the URL that a request goes to, without sending it."""
    with APIClient(settings) as client:
        return client._build(APIRequest("GET", "/v1/x", about="x", read=str)).url


def read(password=API_KEY, extra=None, **fields):
    connection = Connection(conn_id="zelto_here", conn_type="zelto", password=password, **fields)
    return client_settings(ZELTO, connection, extra or {})


def refusal(**fields):
    with pytest.raises(InvalidConnectionError) as caught:
        read(**fields)
    assert str(caught.value).startswith("Connection 'zelto_here': ")
    return str(caught.value)


@pytest.fixture
def from_environment(monkeypatch):
    def read_from(value):
        monkeypatch.setenv("AIRFLOW_CONN_ZELTO_DEFAULT", value)
        with ZeltoHook() as hook:
            return hook.get_conn().settings

    return read_from


def test_a_key_is_all_that_a_connection_needs():
    assert read() == settings(timeout=30, max_retries=4, ca_bundle=None, proxy=None)


def test_what_a_form_left_empty_is_not_set():
    empty = dict.fromkeys(("host", "login", "schema"), "")
    for nothing in ("", None):
        extra = dict.fromkeys(("timeout", "max_retries", "ca_bundle", "proxy"), nothing)
        assert read(**empty, port=None, extra=extra) == settings()


@pytest.mark.parametrize("number", [lambda value: value, str])
def test_the_extra_may_hold_numbers_or_text(number):
    extra = {"timeout": number(2.5), "max_retries": number(7), "someone_elses": [1]}
    assert read(extra=extra) == settings(timeout=2.5, max_retries=7)


@pytest.mark.parametrize(
    ("extra", "timeout", "max_retries"),
    [
        ({"timeout": 0.001}, 0.001, 4),
        ({"timeout": "30"}, 30, 4),
        ({"timeout": " 30 "}, 30, 4),
        ({"timeout": 3600}, 3600, 4),
        ({"max_retries": 0}, 30, 0),
        ({"max_retries": "0"}, 30, 0),
        ({"max_retries": 20}, 30, 20),
    ],
)
def test_timeout_and_retries_may_be_as_small_and_large_as_documented(extra, timeout, max_retries):
    assert read(extra=extra) == settings(timeout=timeout, max_retries=max_retries)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("timeout", value)
            for value in (0, "0", -1, 3600.1, "soon", "nan", "inf", True, [], {}, [1], 10**400)
        ),
        *(
            ("max_retries", value)
            for value in (-1, "-1", 21, "21", 1.5, "1.5", "many", True, False, [], {}, "²")
        ),
        *(("ca_bundle", value) for value in (5, True, ["ca.pem"])),
    ],
)
def test_a_bad_value_in_the_extra_is_refused_by_name_and_value(name, value):
    message = refusal(extra={name: value})
    assert f"{name} in extra: {value!r} is not " in message
    assert "Value error" not in message


def test_all_bad_values_in_the_extra_are_named_at_once():
    message = refusal(extra={"timeout": 0, "max_retries": -1, "ca_bundle": 1, "proxy": "p"})
    assert all(f"{name} in extra" in message for name in ("timeout", "max_retries", "ca_bundle", "proxy"))


@pytest.mark.parametrize(
    "proxy",
    ["http://proxy.example.com:3128", "https://proxy.example.com", "http://user:secret@127.0.0.1:3128"],
)
def test_a_proxy_is_an_http_url_that_stays_out_of_sight(proxy):
    found = read(extra={"proxy": proxy})
    assert found.proxy == proxy
    assert proxy not in repr(found)


@pytest.mark.parametrize(
    "proxy",
    [
        "user:secret@proxy:3128",
        "socks5://user:secret@proxy:1080",
        "http://",
        "http://user:secret@",
        "http://user:secret@[::1",
        "http://user:secret@ex\u2100mple.com",
        "http://user:secret@proxy:port",
        ["secret"],
        5,
    ],
)
def test_a_bad_proxy_is_refused_without_showing_it(proxy):
    message = refusal(extra={"proxy": proxy})
    assert "proxy in extra: the value is not an http(s):// URL" in message
    assert "secret" not in message


def test_plain_http_does_not_go_through_a_proxy_on_another_machine():
    assert "proxy" in refusal(host="http://localhost:8080", extra={"proxy": "http://proxy.example.com:3128"})
    assert read(host="http://localhost:8080", extra={"proxy": "http://localhost:3128"}).proxy


@pytest.mark.parametrize("password", [None, "", "  ", "\n"])
def test_a_missing_key_is_refused(password):
    assert "password: the API key is missing" in refusal(password=password)


@pytest.mark.parametrize("password", [f"{API_KEY}\n", f" {API_KEY} ", f"\t{API_KEY}\r\n"])
def test_white_space_around_a_key_is_no_part_of_it(password):
    assert read(password=password).api_key == API_KEY


@pytest.mark.parametrize("inside", [" ", "\t", "\n", "\r\nX-Other: 1", "\x00", "\x7f", "é", "\u2028"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(inside):
    message = refusal(password=f"{API_KEY}{inside}{API_KEY}")
    assert "characters that no HTTP header can carry" in message
    assert API_KEY not in message


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": "api.zelto.ai"}, "https://api.zelto.ai"),
        ({"host": " API.Zelto.ai "}, "https://api.zelto.ai"),
        ({"host": "https://api.zelto.ai/"}, "https://api.zelto.ai"),
        ({"host": "https://api.zelto.ai:8443"}, "https://api.zelto.ai:8443"),
        ({"host": "api.zelto.ai:8443"}, "https://api.zelto.ai:8443"),
        ({"host": "api.zelto.ai", "port": 8443}, "https://api.zelto.ai:8443"),
        ({"host": "api.zelto.ai:8443", "port": 8443}, "https://api.zelto.ai:8443"),
        ({"host": "https://gateway.example.com/zelto"}, "https://gateway.example.com/zelto"),
        ({"host": "https://gateway.example.com//zelto/eu/"}, "https://gateway.example.com/zelto/eu"),
        ({"host": "gateway.example.com", "schema": "zelto"}, "https://gateway.example.com/zelto"),
        ({"host": "gateway.example.com/a", "schema": "/b/"}, "https://gateway.example.com/a/b"),
        ({"host": "api.zelto.ai", "schema": "https"}, "https://api.zelto.ai"),
        ({"host": "http://localhost:8080"}, "http://localhost:8080"),
        ({"host": "http://127.0.0.1:8080"}, "http://127.0.0.1:8080"),
        ({"host": "http://127.8.9.1"}, "http://127.8.9.1"),
        ({"host": "http://[::1]:8080"}, "http://[::1]:8080"),
        ({"host": "http://LOCALHOST"}, "http://localhost"),
        ({"host": "localhost", "port": 8080, "schema": "http"}, "http://localhost:8080"),
        ({"host": "http://localhost", "port": 8080}, "http://localhost:8080"),
        ({"host": "https://[2001:db8::1]:8443/x"}, "https://[2001:db8::1]:8443/x"),
    ],
)
def test_a_host_may_have_a_scheme_a_port_and_a_path(fields, base_url):
    found = read(**fields)
    assert found == settings(base_url)
    assert url_of_a_request(found) == httpx.URL(f"{base_url}/v1/x")


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "http://api.zelto.ai"},
        {"host": "api.zelto.ai", "schema": "http"},
        {"host": "http://10.0.0.1:8080"},
        {"host": "http://0.0.0.0:8080"},
        {"host": "http://localhost.example.com"},
        {"host": "http://127.0.0.1.example.com"},
        {"host": "http://[2001:db8::1]"},
        {"host": "HTTP://api.zelto.ai"},
    ],
)
def test_plain_http_is_only_for_this_machine(fields):
    message = refusal(**fields)
    assert "host: " in message
    assert "in the clear" in message


@pytest.mark.parametrize(
    "host",
    [
        f"https://{API_KEY}@api.zelto.ai",
        f"https://:{API_KEY}@api.zelto.ai",
        f"{API_KEY}@api.zelto.ai",
        f"user:{API_KEY}@api.zelto.ai:99999",
        f"http://user:{API_KEY}@api.zelto.ai",
        f"https://user:{API_KEY}@[::1",
        f"https://user:{API_KEY}@ex\u2100mple.com",
    ],
)
def test_a_key_in_the_host_is_refused_without_showing_it(host):
    message = refusal(host=host, password="another")
    assert "host: " in message
    assert API_KEY not in message


@pytest.mark.parametrize(
    "host",
    [
        "https://",
        "https:///v1",
        "ftp://api.zelto.ai",
        "file:///etc/passwd",
        "https://api.zelto.ai?region=eu",
        "https://api.zelto.ai#top",
        "api zelto ai",
        "https://[::1",
        "https://ex\u2100mple.com",
        "https://api.zelto.ai\x00",
        "https://xn--zz.\u2603\ufe0f",
    ],
)
def test_what_is_no_host_is_refused_with_its_value(host):
    message = refusal(host=host)
    assert f"host: {host!r} is not a host name or an https:// URL without a query" in message


@pytest.mark.parametrize(
    "fields", [{"host": "https://h/a/../b"}, {"host": "h/.."}, {"host": "h", "schema": "../b"}]
)
def test_a_path_cannot_climb(fields):
    assert "'..'" in refusal(**fields)


@pytest.mark.parametrize("schema", ["v1?region=eu", "v1#top", "a b"])
def test_a_path_in_the_schema_is_held_to_the_same_rules(schema):
    assert repr(schema) in refusal(host="gateway.example.com", schema=schema)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"host": "api.zelto.ai:99999"}, "'api.zelto.ai:99999'"),
        ({"host": "api.zelto.ai:https"}, "'api.zelto.ai:https'"),
        ({"host": "api.zelto.ai", "port": 65536}, "65536"),
        ({"host": "api.zelto.ai", "port": -1}, "-1"),
        ({"host": "api.zelto.ai:8443", "port": 443}, "443"),
    ],
)
def test_a_bad_port_is_refused(fields, shown):
    message = refusal(**fields)
    assert "port" in message
    assert shown in message


@pytest.mark.parametrize("fields", [{"port": 8080}, {"schema": "http"}, {"schema": "v1"}])
def test_a_port_or_a_path_without_a_host_is_refused(fields):
    assert "host: it is empty" in refusal(**fields)


@given(
    st.one_of(
        st.text(max_size=40),
        st.text("htps:/[]@.?#%-_ \\localhost0127.1:8080é\u2100", max_size=40),
        st.text("abc.:/[]@?#%", max_size=20).map("https://".__add__),
    ),
    st.none() | st.integers(-2, 70000),
    st.none() | st.text(max_size=10),
)
def test_any_host_is_either_one_that_can_be_asked_safely_or_refused(host, port, schema):
    try:
        url = url_of_a_request(read(host=host, port=port, schema=schema))
    except InvalidConnectionError:
        return
    assert url.scheme == "https" or url.host in ("localhost", "::1") or url.host.startswith("127.")
    assert (url.userinfo, url.query, url.fragment) == (b"", b"", "")
    assert url.path.endswith("/v1/x")
    assert ".." not in url.path.split("/")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (f"zelto://:{API_KEY}@", settings()),
        (f"zelto://:{API_KEY}@api.zelto.ai", settings()),
        (
            f"zelto://:{API_KEY}@localhost:8080/http",
            settings("http://localhost:8080"),
        ),
        (
            f"zelto://http://:{API_KEY}@localhost:8080",
            settings("http://localhost:8080"),
        ),
        (
            f"zelto://:{API_KEY}@{quote('http://127.0.0.1:8080/zelto', safe='')}",
            settings("http://127.0.0.1:8080/zelto"),
        ),
        (
            f"zelto://:{API_KEY}@gateway.example.com:8443/zelto",
            settings("https://gateway.example.com:8443/zelto"),
        ),
        (
            f"zelto://:{API_KEY}@api.zelto.ai/?timeout=5&max_retries=0&ca_bundle=&proxy=http%3A%2F%2Fp%3A3128",
            settings(timeout=5, max_retries=0, proxy="http://p:3128"),
        ),
    ],
)
def test_a_connection_may_be_a_uri(from_environment, uri, expected):
    assert from_environment(uri) == expected


@pytest.mark.parametrize("key", ["a/b+c=d", "p%40ss:w@rd", "!\"#$&'()*,;<>?[\\]^`{|}~"])
def test_a_key_with_special_characters_is_the_same_from_a_uri_and_from_json(from_environment, key):
    expected = settings(api_key=key)
    assert from_environment(f"zelto://:{quote(key, safe='')}@api.zelto.ai") == expected
    assert from_environment(json.dumps({"conn_type": "zelto", "password": key})) == expected


@pytest.mark.parametrize(
    "extra",
    [
        {"timeout": 5, "max_retries": 0, "ca_bundle": None},
        {"timeout": "5", "max_retries": "0", "ca_bundle": ""},
        json.dumps({"timeout": "5", "max_retries": 0}),
    ],
)
def test_a_connection_may_be_json(from_environment, extra):
    connection = {"conn_type": "zelto", "host": "https://api.zelto.ai", "password": API_KEY, "extra": extra}
    assert from_environment(json.dumps(connection)) == settings(timeout=5, max_retries=0)


def test_a_key_in_the_login_is_not_used_and_not_shown(from_environment):
    with pytest.raises(InvalidConnectionError) as caught:
        from_environment(f"zelto://{API_KEY}@api.zelto.ai")
    assert "password: the API key is missing" in str(caught.value)
    assert API_KEY not in str(caught.value)


@pytest.mark.usefixtures("airflow_db")
@pytest.mark.parametrize(
    "options",
    [
        ["--conn-uri", f"zelto://:{API_KEY}@localhost:8080/http?timeout=5&max_retries=0"],
        [
            "--conn-json",
            json.dumps(
                {
                    "conn_type": "zelto",
                    "host": "http://localhost:8080",
                    "password": API_KEY,
                    "extra": {"timeout": "5", "max_retries": 0, "proxy": ""},
                }
            ),
        ],
        [
            *("--conn-type", "zelto", "--conn-host", "http://localhost", "--conn-port", "8080"),
            *("--conn-password", API_KEY, "--conn-extra", '{"timeout": 5, "max_retries": "0"}'),
        ],
    ],
    ids=["uri", "json", "fields"],
)
def test_a_connection_may_be_added_on_the_command_line(options, request):
    from airflow.cli.cli_parser import get_parser
    from airflow.models import Connection as StoredConnection
    from airflow.utils.session import create_session

    conn_id = f"from_{request.node.callspec.id}"
    arguments = get_parser().parse_args(["connections", "add", conn_id, *options])
    arguments.func(arguments)
    with create_session() as session:
        stored = session.query(StoredConnection).filter_by(conn_id=conn_id).one()
        found = client_settings(ZELTO, stored, stored.extra_dejson)
    assert found == settings("http://localhost:8080", timeout=5, max_retries=0)


def test_settings_show_neither_key_nor_proxy():
    found = read(extra={"proxy": "http://user:secret@p:3128"})
    assert API_KEY not in f"{found} {found!r}"
    assert "secret" not in f"{found} {found!r}"
