from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest

METRIC_ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
REQUIRED = {
    "id",
    "organizationId",
    "conversationId",
    "agentId",
    "label",
    "source",
    "createdAt",
    "updatedAt",
}
NULLABLE = {"metricId", "externalId", "verdict", "score", "note"}
FULL = {
    "label": "Compliance Check",
    "verdict": "pass",
    "score": 92.5,
    "note": "greeting missing",
    "metricId": METRIC_ID,
    "externalId": "row-1",
}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_submitted_metric_comes_back_whole(zelto):
    before = datetime.now(UTC)
    answer = zelto.submit(**FULL)
    assert answer.status_code == 201
    metric = answer.json()
    assert metric.keys() == REQUIRED | NULLABLE
    assert {name: metric[name] for name in FULL} == FULL
    assert metric["conversationId"] == zelto.call
    assert metric["source"] == "api"
    for name in ("id", "organizationId", "agentId"):
        UUID(metric[name])
    assert before <= moment(metric["createdAt"]) == moment(metric["updatedAt"]) <= datetime.now(UTC)


def test_timestamps_are_utc_with_microseconds(zelto):
    metric = zelto.submit(label="a", score=1).json()
    assert datetime.strptime(metric["createdAt"], "%Y-%m-%dT%H:%M:%S.%fZ")


def test_the_list_holds_what_was_submitted_in_that_order(zelto):
    stored = [zelto.submit(label=label, score=1).json() for label in ("b", "a", "c")]
    answer = zelto.list()
    assert answer.status_code == 200
    assert answer.json() == {"data": stored}


def test_a_call_without_metrics_has_an_empty_list(zelto):
    assert zelto.list().json() == {"data": []}


def test_metrics_of_one_call_do_not_show_in_another(zelto, emulator):
    zelto.submit(label="a", score=1)
    assert zelto.list(emulator.add_conversation()).json() == {"data": []}


def test_the_same_label_replaces_the_metric_and_keeps_its_identity(zelto):
    first = zelto.submit(**FULL).json()
    second = zelto.submit(label=FULL["label"], verdict="fail").json()
    assert second["id"] == first["id"]
    assert second["createdAt"] == first["createdAt"]
    assert moment(second["updatedAt"]) > moment(first["updatedAt"])
    assert second["verdict"] == "fail"
    assert not {"score", "note", "metricId", "externalId"} & second.keys()
    assert zelto.list().json()["data"] == [second]


def test_labels_are_told_apart_by_case_and_space(zelto):
    for label in ("a", "A", "a "):
        zelto.submit(label=label, score=1)
    assert [metric["label"] for metric in zelto.list().json()["data"]] == ["a", "A", "a "]


def test_every_update_moves_the_time(zelto):
    times = [moment(zelto.submit(label="a", score=score).json()["updatedAt"]) for score in range(30)]
    assert times == sorted(set(times))


def test_submissions_at_once_make_one_metric(zelto, emulator):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda score: zelto.submit(label="a", score=score), range(80)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.json()["updatedAt"] for answer in answers}) == 80
    assert len(emulator.metrics(zelto.call)) == 1


@pytest.mark.parametrize("score", [0, 100, 0.0001, 50, 99.99])
def test_a_score_from_0_to_100_is_kept_as_it_is(zelto, score):
    stored = zelto.submit(label="a", score=score).json()["score"]
    assert stored == score
    assert type(stored) is type(score)


@pytest.mark.parametrize(
    ("nulls", "names"), [("absent", REQUIRED | {"verdict"}), ("null", REQUIRED | NULLABLE)]
)
def test_fields_without_a_value_are_absent_or_null_as_set(zelto, emulator, nulls, names):
    emulator.settings(nulls=nulls)
    metric = zelto.submit(label="a", verdict="pass").json()
    assert metric.keys() == names
    assert {name: metric.get(name) for name in NULLABLE - {"verdict"}} == dict.fromkeys(
        NULLABLE - {"verdict"}
    )
    assert zelto.list().json()["data"] == [metric]


@pytest.mark.parametrize(
    "fields",
    [
        {"label": "x"},
        {"label": "é" * 255},
        {"label": "🙂" * 255},
        {"label": "\u0000 \n"},
        {"note": ""},
        {"note": "n" * 5000},
        {"externalId": "e" * 255},
        {"externalId": ""},
        {"metricId": METRIC_ID},
        {"unknown": {"is": "ignored"}, "score": 0},
    ],
)
def test_values_up_to_the_limits_are_stored(zelto, fields):
    answer = zelto.submit(**{"label": "a", "verdict": "pass"} | fields)
    assert answer.status_code == 201
    stored = answer.json()
    assert all(stored[name] == value for name, value in fields.items() if name != "unknown")
    assert "unknown" not in stored


def test_uuids_are_answered_in_lower_case(zelto):
    metric = zelto.submit(label="a", score=1, metricId=METRIC_ID.upper()).json()
    assert metric["metricId"] == METRIC_ID
    assert zelto.list(zelto.call.upper()).json() == {"data": [metric]}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"label": ""}, "label"),
        ({"label": "x" * 256}, "label"),
        ({"label": 5}, "label"),
        ({"label": None}, "label"),
        ({"verdict": "passed"}, "verdict"),
        ({"verdict": "PASS"}, "verdict"),
        ({"verdict": True}, "verdict"),
        ({"verdict": None}, "verdict"),
        ({"score": -0.1}, "score"),
        ({"score": 100.1}, "score"),
        ({"score": "50"}, "score"),
        ({"score": True}, "score"),
        ({"score": None}, "score"),
        ({"score": 10**400}, "score"),
        ({"score": [50]}, "score"),
        ({"note": "n" * 5001}, "note"),
        ({"note": None}, "note"),
        ({"note": 1}, "note"),
        ({"metricId": "not-a-uuid"}, "metricId"),
        ({"metricId": METRIC_ID.replace("-", "")}, "metricId"),
        ({"metricId": f"{{{METRIC_ID}}}"}, "metricId"),
        ({"metricId": f"{METRIC_ID}\n"}, "metricId"),
        ({"metricId": None}, "metricId"),
        ({"externalId": "e" * 256}, "externalId"),
        ({"externalId": 7}, "externalId"),
    ],
)
def test_a_wrong_field_is_400_and_named_in_the_details(zelto, wrong, field):
    answer = zelto.submit(**{"label": "a", "verdict": "pass", "score": 50} | wrong)
    assert answer.status_code == 400
    body = answer.json()
    assert body["error"] == "Validation failed"
    assert body["details"].keys() == {field}
    assert field in body["message"]
    assert zelto.list().json() == {"data": []}


def test_all_wrong_fields_are_named_at_once(zelto):
    details = zelto.submit(verdict="maybe", score=101, note=1).json()["details"]
    assert details.keys() == {"label", "verdict", "score", "note"}


def test_a_metric_needs_a_verdict_or_a_score(zelto):
    answer = zelto.submit(label="a", note="neither")
    assert answer.status_code == 400
    assert "verdict or score" in answer.json()["message"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"nonsense",
        b'["label"]',
        b'"label"',
        b"null",
        b'{"label": "a", "score": NaN}',
        b'{"label": "a", "score": 1, "unknown": Infinity}',
        b'{"label": "a", "score": 1e999}',
        b'{"label": "\\ud800", "score": 1}',
        b'{"label": "\xff", "score": 1}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_json_object_is_400(zelto, content):
    answer = zelto.request(
        "POST",
        content=content,
        headers={"Authorization": "Bearer a-second-key", "Content-Type": "application/json"},
    )
    assert answer.status_code == 400
    assert answer.json()["error"] == "Validation failed"


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "json"])
def test_a_body_of_another_type_is_400(zelto, content_type):
    headers = {"Authorization": "Bearer a-second-key"}
    if content_type:
        headers["Content-Type"] = content_type
    answer = zelto.request("POST", content=b'{"label": "a", "score": 1}', headers=headers)
    assert answer.status_code == 400
    assert "application/json" in answer.json()["message"]


def test_a_charset_beside_the_content_type_is_fine(zelto):
    headers = {"Authorization": "Bearer a-second-key", "Content-Type": "Application/JSON; charset=utf-8"}
    assert zelto.request("POST", content=b'{"label": "a", "score": 1}', headers=headers).status_code == 201


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer a-key-for-these-tests-and-more"},
        {"Authorization": "Basic a-second-key"},
        {"Authorization": "a-second-key"},
        {"x-api-key": "a-second-key"},
    ],
)
def test_a_missing_or_wrong_key_is_401(zelto, method, headers):
    answer = zelto.request(method, headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": "Unauthorized"}
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "authorization", ["Bearer a-second-key", "bearer a-second-key", "BEARER  a-second-key"]
)
def test_any_of_the_keys_is_accepted(zelto, authorization):
    assert zelto.request("GET", headers={"Authorization": authorization}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_metrics_switched_off_are_403_even_for_a_call_that_does_not_exist(zelto, emulator, method):
    emulator.settings(metrics_enabled=False)
    for call in (zelto.call, str(uuid4())):
        answer = zelto.request(method, call=call)
        assert answer.status_code == 403
        assert answer.json()["error"] == "Forbidden"


def test_a_metric_id_outside_the_organization_is_403(zelto, emulator):
    emulator.settings(metric_ids=[METRIC_ID.upper()])
    assert zelto.submit(label="a", score=1, metricId=METRIC_ID).status_code == 201
    refused = zelto.submit(label="b", score=1, metricId=str(uuid4()))
    assert refused.status_code == 403
    assert "not in this organization" in refused.json()["message"]
    assert zelto.submit(label="c", score=1).status_code == 201
    assert [metric["label"] for metric in emulator.metrics(zelto.call)] == ["a", "c"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "call",
    [
        "00000000-0000-0000-0000-000000000000",
        "c0ffee00-0000-4000-8000-000000000000",
        "1",
        "not-a-uuid",
        "c0ffee0000004000800000000000000",
        "%0A",
        "c0ffee00-0000-4000-8000-000000000000%0A",
        "a%2Fb",
        "%F0%9F%99%82",
    ],
)
def test_an_unknown_call_is_404_before_the_body_is_looked_at(zelto, method, call):
    answer = zelto.request(method, call=call)
    assert answer.status_code == 404
    assert answer.json()["error"] == "Not found"


@pytest.mark.parametrize(
    "path", ["/v1/conversations", "/v2/x", "/v1/conversations//customer-metrics", "/favicon.ico"]
)
def test_an_unknown_path_is_401_without_and_404_with_a_key(zelto, path):
    assert zelto.client.get(path).status_code == 401
    answer = zelto.client.get(path, headers={"Authorization": "Bearer a-second-key"})
    assert answer.status_code == 404
    assert answer.json()["error"] == "Not found"


def test_a_request_for_the_server_itself_is_404(emulator):
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-second-key\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "QUERY"])
def test_an_undocumented_method_is_405(zelto, method):
    answer = zelto.request(method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, POST"
    assert method == "HEAD" or answer.json()["error"] == "Method not allowed"


def test_a_call_that_is_still_processed_is_404_until_it_is_there(zelto, emulator, eventually):
    call = emulator.add_conversation(available_after=0.5)
    assert zelto.list(call).status_code == 404
    assert zelto.request("POST", call=call, json={"label": "a", "score": 1}).status_code == 404
    eventually(lambda: zelto.list(call).status_code == 200)
    assert emulator.metrics(call) == []


def test_every_uuid_is_a_call_when_so_set(zelto, emulator):
    emulator.settings(any_conversation=True)
    call = str(uuid4())
    assert zelto.list(call).json() == {"data": []}
    stored = zelto.request("POST", call=call, json={"label": "a", "score": 1}).json()
    again = zelto.request("POST", call=call, json={"label": "b", "score": 1}).json()
    assert zelto.list(call).json() == {"data": [stored, again]}
    assert stored["agentId"] == again["agentId"]
    assert zelto.list("no-uuid").status_code == 404


def test_a_latency_is_waited_before_each_answer(zelto, emulator):
    emulator.settings(latency=0.15)
    assert zelto.list().elapsed >= timedelta(seconds=0.15)


def test_small_answers_are_not_held_back_by_the_kernel(zelto):
    zelto.list()
    quickest = min(zelto.submit(label="a", score=1).elapsed for _ in range(10))
    assert quickest < timedelta(milliseconds=30)


def test_a_connection_is_kept_for_the_next_request(running):
    with httpx.Client(base_url=running.url, trust_env=False) as client:
        ports = set()
        for _ in range(3):
            with client.stream("GET", "/v1/x") as answer:
                stream = answer.extensions["network_stream"]
                ports.add(stream.get_extra_info("client_addr")[1])
                answer.read()
    assert len(ports) == 1
