from __future__ import annotations

import socket
import ssl
from collections import Counter

import httpx
import pytest
import trustme

from airflow_provider_zelto import api_client
from airflow_provider_zelto.exceptions import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    InvalidConnectionError,
)
from tests.answers import CALL, EMPTY_LIST
from tests.conftest import API_KEY
from tests.raw_server import RawServer, http_answer


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("fault", [{"action": "reset"}, {"action": "cut_body"}])
def test_a_connection_that_breaks_is_a_connection_error(ask, emulator, call, connect, fault):
    connect(emulator.url, extra={"max_retries": 1})
    emulator.fault(**fault)
    with pytest.raises(APIConnectionError) as caught:
        ask("submit", call, label="a", score=1)
    assert type(caught.value) is APIConnectionError
    assert len(emulator.journal()) == 2
    assert emulator.url in str(caught.value)
    assert call in str(caught.value)


@pytest.mark.parametrize("fault", [{"action": "hang"}, {"delay": 30.0}])
def test_an_answer_that_does_not_come_is_a_timeout(ask, emulator, call, connect, fault):
    connect(emulator.url, extra={"max_retries": 1, "timeout": "0.2"})
    emulator.fault(**fault)
    with pytest.raises(APITimeoutError) as caught:
        ask("list", call)
    assert len(emulator.journal()) == 2
    assert "within 0.2 s" in str(caught.value)
    assert "Raise timeout in the extra" in str(caught.value)


def test_a_host_that_refuses_is_named(ask, connect, no_backoff, closed_port):
    connect(f"http://127.0.0.1:{closed_port}", extra={"max_retries": 1})
    with pytest.raises(APIConnectionError) as caught:
        ask("list", CALL)
    assert f"http://127.0.0.1:{closed_port} could not be reached" in str(caught.value)
    assert "Check the host" in str(caught.value)


def test_a_host_that_nobody_knows_is_named(ask, connect, no_backoff, monkeypatch):
    looked_up = Counter()

    def unknown(host, *args, **kwargs):
        looked_up[host] += 1
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    connect("https://api.zelto.example", extra={"max_retries": 1})
    with pytest.raises(
        APIConnectionError, match=r"https://api\.zelto\.example could not be reached"
    ) as caught:
        ask("list", CALL)
    assert "Check the host" in str(caught.value)
    assert sum(looked_up.values()) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nno header at all\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"\x00" * 100,
    ],
)
def test_what_does_not_speak_http_is_a_connection_error(ask, connect, no_backoff, answer):
    with RawServer(lambda _: answer) as server:
        connect(server.url, extra={"max_retries": 1})
        with pytest.raises(APIConnectionError):
            ask("submit", CALL, label="a", score=1)
    assert server.connections == 2


def test_a_body_that_cannot_be_decoded_is_a_bad_answer(ask, connect, no_backoff):
    answer = http_answer(
        b"not gzip at all", "200 OK", "Content-Encoding: gzip", "Content-Type: application/json"
    )
    with RawServer(lambda _: answer) as server:
        connect(server.url)
        with pytest.raises(APIResponseValidationError):
            ask("list", CALL)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls_server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with RawServer(lambda _: EMPTY_LIST, context) as server:
        yield server


def test_a_certificate_nobody_vouches_for_is_refused_without_asking_again(ask, connect, tls_server):
    connect(tls_server.url)
    with pytest.raises(APIConnectionError, match="Set ca_bundle in the extra of the connection") as caught:
        ask("list", CALL)
    assert tls_server.connections == 1
    assert tls_server.requests == []
    assert "certificate" in str(caught.value).lower()


def test_a_private_ca_is_trusted_when_the_connection_names_it(ask, connect, tls_server, authority, tmp_path):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    connect(tls_server.url, extra={"ca_bundle": str(bundle)})
    assert ask("list", CALL) == []
    assert len(tls_server.requests) == 1


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_ca_bundle_that_cannot_be_read_is_named_with_its_connection(ask, connect, tmp_path, content):
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_bytes(content)
    connect("https://127.0.0.1:1", extra={"ca_bundle": str(bundle)})
    with pytest.raises(InvalidConnectionError) as caught:
        ask("list", CALL)
    assert f"ca_bundle: {str(bundle)!r} is not a file of PEM certificates" in str(caught.value)
    assert "zelto_default" in str(caught.value)


def test_all_hooks_of_a_process_share_one_tls_context(ask, connect, mocker):
    api_client._new_tls_context.cache_clear()
    made = mocker.spy(httpx, "create_ssl_context")
    connect("https://127.0.0.1:1", extra={"max_retries": 0})
    for _ in range(3):
        with pytest.raises(APIConnectionError):
            ask("list", CALL)
    # With arguments it is httpx-aiohttp who asks, and gets back the context that it was given.
    assert made.call_args_list.count(mocker.call()) == 1


def test_requests_go_through_the_proxy_of_the_connection(ask, connect):
    refusal = http_answer(b"", "407 Proxy Authentication Required")
    with RawServer(lambda _: refusal) as proxy:
        url = f"http://user:secret@127.0.0.1:{proxy.port}"
        connect("https://api.zelto.example", extra={"proxy": url, "max_retries": 0})
        with pytest.raises(APIError) as caught:
            ask("list", CALL)
    assert proxy.requests[0].startswith(b"CONNECT api.zelto.example:443 ")
    assert API_KEY.encode() not in proxy.requests[0]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("written", ["http://127.0.0.1:{}", "127.0.0.1:{}"])
def test_the_proxy_of_the_environment_is_used_for_https(ask, connect, monkeypatch, variable, written):
    with RawServer(lambda _: http_answer(b"", "403 Forbidden")) as proxy:
        monkeypatch.setenv(variable, written.format(proxy.port))
        connect("https://api.zelto.example", extra={"max_retries": 0})
        with pytest.raises(APIConnectionError):
            ask("list", CALL)
    assert proxy.requests[0].startswith(b"CONNECT api.zelto.example:443 ")


def test_no_proxy_keeps_a_host_off_the_proxy_of_the_environment(ask, connect, monkeypatch, closed_port):
    with RawServer(lambda _: http_answer(b"", "403 Forbidden")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        connect(f"https://127.0.0.1:{closed_port}", extra={"max_retries": 0})
        with pytest.raises(APIConnectionError):
            ask("list", CALL)
    assert proxy.connections == 0


def test_a_loopback_host_is_asked_directly_whatever_the_environment_says(ask, call, monkeypatch, closed_port):
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{closed_port}")
    assert ask("list", call) == []
