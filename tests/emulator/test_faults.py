from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from datetime import timedelta
from itertools import groupby

import httpx
import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from airflow_provider_zelto.emulator import Emulator
from airflow_provider_zelto.emulator import server as server_module
from airflow_provider_zelto.emulator.wire import http_protocol
from tests.emulator.zelto_client import KEY, ZeltoClient


@pytest.fixture(scope="module", params=[H11Protocol, HttpToolsProtocol], ids=["h11", "httptools"])
def running_on_each_protocol(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "http_protocol", lambda: http_protocol(request.param))
        with (
            Emulator(api_keys=KEY) as emulator,
            httpx.Client(base_url=emulator.url, trust_env=False) as client,
        ):
            yield emulator, client


@pytest.fixture
def wired(running_on_each_protocol):
    """An emulator on one of uvicorn's protocols, and a client for a call there."""
    emulator, client = running_on_each_protocol
    emulator.reset()
    return emulator, ZeltoClient(client, emulator.add_conversation())


def raw_request(emulator, zelto, body=b""):
    """Return a socket on which one request was sent."""
    host, port = emulator.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    method = b"POST" if body else b"GET"
    connection.sendall(
        b"%s /v1/conversations/%s/customer-metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (method, zelto.call.encode(), KEY.encode(), len(body), body)
    )
    return connection


def read_to_end(connection):
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def statuses(zelto, count):
    return [zelto.list().status_code for _ in range(count)]


def test_a_status_comes_with_the_error_body_of_the_service_and_retry_after(wired):
    emulator, zelto = wired
    emulator.fault(status=429, retry_after=2, count=1)
    answer = zelto.list()
    assert answer.status_code == 429
    assert answer.json() == {"error": "Too Many Requests"}
    assert answer.headers["Retry-After"] == "2"
    assert zelto.list().status_code == 200


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (0, "0"),
        (1.5, "1.5"),
        ("Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:59 GMT"),
        ("soon", "soon"),
    ],
)
def test_retry_after_is_sent_as_given(zelto, emulator, given, sent):
    emulator.fault(status=503, retry_after=given)
    assert zelto.list().headers["Retry-After"] == sent


def test_a_status_that_has_no_name_is_sent_too(wired):
    emulator, zelto = wired
    emulator.fault(status=599)
    assert zelto.list().status_code == 599


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_is_sent_without_one(wired, status):
    emulator, zelto = wired
    emulator.fault(status=status, count=1)
    answer = zelto.list()
    assert (answer.status_code, answer.content) == (status, b"")
    assert zelto.list().status_code == 200


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ({"rows": []}, b'{"rows":[]}'),
        ([], b"[]"),
        (None, b"null"),
        ('{"data": [', b'{"data": ['),
        ("", b""),
    ],
)
def test_a_body_replaces_the_answer(zelto, emulator, body, content):
    emulator.fault(body=body)
    answer = zelto.list()
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["Content-Type"] == "application/json"


def test_headers_are_put_over_the_answer(zelto, emulator):
    emulator.fault(
        status=302, headers={"Location": "https://elsewhere.example/", "Content-Type": "text/plain"}
    )
    answer = zelto.list()
    assert answer.status_code == 302
    assert answer.headers["Location"] == "https://elsewhere.example/"
    assert answer.headers.get_list("Content-Type") == ["text/plain"]
    emulator.clear_faults()
    emulator.fault(headers={"X-Request-Id": "7"})
    answer = zelto.list()
    assert (answer.json(), answer.headers["X-Request-Id"]) == ({"data": []}, "7")


@pytest.mark.parametrize(("given", "status"), [({}, 502), ({"status": 200}, 200)])
def test_html_is_what_a_proxy_would_send(zelto, emulator, given, status):
    emulator.fault(action="html", **given)
    answer = zelto.list()
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<!doctype html>")


def test_a_reset_is_a_tcp_reset_before_any_byte(wired):
    emulator, zelto = wired
    emulator.fault(action="reset", count=1)
    with raw_request(emulator, zelto) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert zelto.list().status_code == 200


def test_a_cut_body_announces_the_whole_and_ends_half_way(wired):
    emulator, zelto = wired
    zelto.submit(label="a", score=1)
    whole = zelto.list().content
    emulator.fault(action="cut_body", count=1)
    with raw_request(emulator, zelto) as connection:
        head, _, body = read_to_end(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: %d" % len(whole) in head.lower()
    assert body == whole[: len(whole) // 2]
    emulator.fault(action="cut_body", count=1)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        zelto.list()
    assert zelto.list().content == whole


def test_an_error_body_can_be_cut_too(wired):
    emulator, zelto = wired
    emulator.fault(action="cut_body", status=503, body={"error": "out of order"})
    with raw_request(emulator, zelto) as connection:
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b'\r\n\r\n{"error":"ou')


def test_a_hanging_request_is_never_answered(wired):
    emulator, zelto = wired
    emulator.fault(action="hang", count=1)
    with pytest.raises(httpx.ReadTimeout):
        zelto.request("GET", timeout=0.2)
    assert zelto.list().status_code == 200


def test_a_delay_holds_the_answer_back(wired):
    emulator, zelto = wired
    emulator.fault(delay=0.2, count=1)
    slow = zelto.list()
    assert slow.status_code == 200
    assert slow.elapsed >= timedelta(seconds=0.2)
    zelto.list()
    assert [fault["hits"] for fault in emulator.faults()] == [1]


def submit_in_vain(zelto, patience=5.0):
    try:
        return zelto.request("POST", json={"label": "a", "score": 1}, timeout=patience).status_code
    except httpx.TransportError:
        return None


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"status": 503}, 503),
        ({"body": {}}, 200),
        ({"action": "html"}, 502),
        ({"action": "reset"}, None),
        ({"action": "hang"}, None),
        ({"action": "cut_body", "status": 500}, None),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_submission_is_stored_only_by_faults_after_it(wired, fault, status, when):
    emulator, zelto = wired
    emulator.fault(when=when, count=1, **fault)
    patience = 0.3 if fault.get("action") == "hang" else 5.0
    assert submit_in_vain(zelto, patience) == status
    assert len(emulator.metrics(zelto.call)) == (when == "after")
    stored = zelto.submit(label="a", score=1).json()
    assert emulator.metrics(zelto.call) == [stored]


def test_a_cut_answer_of_the_service_means_that_it_was_stored(zelto, emulator):
    emulator.fault(action="cut_body", count=1)
    assert submit_in_vain(zelto) is None
    assert [metric["label"] for metric in emulator.metrics(zelto.call)] == ["a"]


@pytest.mark.parametrize(("when", "stored"), [("before", 0), ("after", 1)])
def test_a_delay_comes_before_or_after_the_record_is_stored(zelto, emulator, eventually, when, stored):
    emulator.fault(delay=0.8, when=when, count=1)
    assert submit_in_vain(zelto, patience=0.3) is None
    assert len(emulator.metrics(zelto.call)) == stored
    eventually(lambda: len(emulator.metrics(zelto.call)) == 1)


def test_a_refused_key_is_refused_after_a_fault_too(zelto, emulator):
    emulator.fault(delay=0.01, when="after")
    assert zelto.request("POST", headers={}, json={"label": "a", "score": 1}).status_code == 401
    assert emulator.metrics(zelto.call) == []


def test_count_strikes_the_next_requests(zelto, emulator):
    emulator.fault(status=503, count=2)
    assert statuses(zelto, 4) == [503, 503, 200, 200]


def test_every_strikes_each_nth_request(zelto, emulator):
    emulator.fault(status=503, every=3)
    assert statuses(zelto, 7) == [200, 200, 503, 200, 200, 503, 200]


def test_share_strikes_that_part_of_the_requests_and_the_same_ones_for_a_seed(zelto, emulator):
    runs = []
    for seed in (1, 1, 2):
        emulator.fault(status=503, share=0.2, seed=seed)
        runs.append(statuses(zelto, 80))
        emulator.clear_faults()
    assert runs[0] == runs[1] != runs[2]
    assert all(5 < Counter(run)[503] < 35 for run in runs)
    assert max(len(list(group)) for _, group in groupby(runs[0])) > 1


def test_a_fault_without_a_number_strikes_until_it_is_cleared(zelto, emulator, web):
    emulator.fault(status=503)
    assert statuses(zelto, 3) == [503, 503, 503]
    assert web.delete("/_emulator/faults").status_code == 204
    assert statuses(zelto, 1) == [200]


def test_a_fault_is_aimed_by_method_path_and_service(zelto, emulator):
    other = emulator.add_conversation()
    emulator.fault(status=500, method="post")
    emulator.fault(status=502, path=other)
    emulator.fault(status=503, service="zelto", method="GET", path="customer-metrics")
    assert zelto.submit(label="a", score=1).status_code == 500
    assert zelto.list(other).status_code == 502
    assert zelto.list().status_code == 503
    assert zelto.client.get("/v1/elsewhere").status_code == 401


def test_the_first_fault_that_strikes_keeps_the_request_from_those_after_it(web, zelto, emulator):
    emulator.fault(status=500, every=2)
    emulator.fault(status=503, count=2)
    assert statuses(zelto, 5) == [503, 500, 503, 500, 200]
    listed = web.get("/_emulator/faults").json()["faults"]
    assert [(fault["seen"], fault["hits"]) for fault in listed] == [(5, 2), (3, 2)]


def test_faults_are_listed_as_they_were_given(web, emulator):
    given = {"status": 429, "retry_after": 2, "every": 200, "method": "POST"}
    answer = web.post("/_emulator/faults", json=given)
    assert answer.status_code == 201
    fault = answer.json()
    assert fault == {"id": fault["id"], **given, "when": "before", "seen": 0, "hits": 0}
    assert emulator.faults() == [fault]
    assert emulator.fault(action="reset") == fault["id"] + 1


def test_the_control_api_and_the_page_are_never_struck(web, emulator):
    emulator.fault(status=503)
    for path in ("/", "/_emulator/health", "/_emulator/page.css"):
        assert web.get(path).status_code == 200


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"count": 1, "status": 503, "share": 0.5}, "one of count, share and every"),
        ({"count": 1}, "at least one of"),
        ({"action": "explode"}, "reset"),
        ({"action": "reset", "status": 503}, "Nothing is answered"),
        ({"action": "hang", "body": None}, "Nothing is answered"),
        ({"action": "html", "body": "x"}, "brings its own body"),
        ({"action": "cut_body", "body": ""}, "cannot be cut"),
        ({"action": "cut_body", "status": 204}, "no body"),
        ({"status": 304, "body": "x"}, "no body"),
        ({"retry_after": 1, "delay": 1}, "needs a status"),
        ({"retry_after": "a\r\nb", "status": 503}, "one line"),
        ({"headers": {"X-A": "a\nb"}}, "one line"),
        ({"headers": {"X A": "a"}}, "pattern"),
        ({"headers": {"Content-Length": "1"}, "status": 200}, "content-length"),
        ({"status": 100}, "200"),
        ({"status": 600}, "599"),
        ({"status": 503, "count": 0}, "greater than or equal to 1"),
        ({"status": 503, "share": 1.5}, "less than or equal to 1"),
        ({"status": 503, "when": "during"}, "before"),
        ({"delay": -1}, "greater than or equal to 0"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_the_reason(web, emulator, fault, says):
    answer = web.post("/_emulator/faults", json=fault)
    assert answer.status_code == 400
    assert says in answer.json()["message"]
    with pytest.raises(ValueError, match=says):
        emulator.fault(**fault)
    assert emulator.faults() == []


def test_a_client_that_leaves_in_the_middle_of_its_body_submits_nothing(wired, eventually):
    emulator, zelto = wired
    with raw_request(emulator, zelto, b'{"label": "a", "score": 1}') as connection:
        read = connection.recv(12)
        assert read == b"HTTP/1.1 201"
    emulator.clear_journal()
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(
            b"POST /v1/conversations/%s/customer-metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            % (zelto.call.encode(), KEY.encode())
        )
        time.sleep(0.05)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    eventually(lambda: len(emulator.journal()) == 1)
    [entry] = emulator.journal()
    assert (entry["status"], entry["body"], entry["fault"]) == (None, None, None)


def test_a_stop_does_not_wait_for_requests_that_hang_or_sleep(caplog):
    with Emulator() as emulator, httpx.Client(base_url=emulator.url, trust_env=False) as client:
        emulator.fault(action="hang", method="GET")
        emulator.fault(delay=60, method="POST")
        for method in ("GET", "POST"):
            with pytest.raises(httpx.ReadTimeout):
                client.request(method, "/v1/x", timeout=0.1)
        zelto = ZeltoClient(client, emulator.add_conversation())
        connections = [raw_request(emulator, zelto), raw_request(emulator, zelto, b"{}")]
        time.sleep(0.05)
        started = time.monotonic()
        emulator.stop()
        assert time.monotonic() - started < 1
        for connection in connections:
            with connection:
                assert read_to_end(connection) == b""
    assert caplog.records == []
