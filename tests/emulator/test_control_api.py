from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

CALL = "c0ffee00-0000-4000-8000-000000000001"
COVAL_CALL = "gk3jK9mPq2xRt5vW8yZaBc"
METRIC = "29BlkepvvX19ebbLDB0y6Q"


def test_health_names_the_services(web):
    answer = web.get("/_emulator/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "services": ["zelto", "roark", "coval"]}


def test_a_call_is_added_under_the_ids_given(web):
    agent = str(uuid4())
    answer = web.post("/_emulator/conversations", json={"id": CALL.upper(), "agent_id": agent})
    assert answer.status_code == 201
    assert answer.json().items() >= {"id": CALL, "agent_id": agent}.items()
    assert datetime.fromisoformat(answer.json()["available_at"]) <= datetime.now(UTC)


def test_a_call_without_ids_gets_its_own_and_needs_no_body(web):
    first, second = (web.post("/_emulator/conversations").json() for _ in range(2))
    assert UUID(first["id"]) != UUID(second["id"])
    assert UUID(first["agent_id"]) != UUID(second["agent_id"])


def test_the_agent_of_a_call_shows_in_its_metrics(web, zelto, emulator):
    agent = str(uuid4())
    emulator.add_conversation(CALL, agent_id=agent)
    metric = zelto.request("POST", call=CALL, json={"label": "a", "score": 1}).json()
    assert metric["agentId"] == agent


def test_a_call_cannot_be_added_twice(web):
    web.post("/_emulator/conversations", json={"id": CALL})
    again = web.post("/_emulator/conversations", json={"id": CALL})
    assert again.status_code == 409
    assert CALL in again.json()["message"]


def test_calls_are_listed_with_their_metrics(web, zelto):
    web.post("/_emulator/conversations", json={"id": CALL, "available_after": 60})
    metric = zelto.submit(label="a", score=1).json()
    listed = web.get("/_emulator/conversations").json()["conversations"]
    assert [(call["id"], call["metrics"]) for call in listed] == [(zelto.call, [metric]), (CALL, [])]
    assert datetime.fromisoformat(listed[1]["available_at"]) > datetime.now(UTC) + timedelta(seconds=50)
    assert web.get(f"/_emulator/conversations/{zelto.call}").json() == listed[0]


def test_thousands_of_calls_are_listed_whole(web, emulator):
    calls = [emulator.add_conversation() for _ in range(1203)]
    listed = web.get("/_emulator/conversations").json()["conversations"]
    assert [call["id"] for call in listed] == calls


def test_a_metric_of_somebody_else_appears_when_its_time_has_come(web, zelto, eventually):
    path = f"/_emulator/conversations/{zelto.call}/customer-metrics"
    answer = web.post(path, json={"label": "later", "score": 80, "source": "dashboard", "after": 0.6})
    assert answer.status_code == 201
    due = answer.json()["appears_at"]
    upcoming = [{"label": "later", "appears_at": due}]
    assert answer.json() == {"conversation_id": zelto.call, **upcoming[0]}
    assert zelto.list().json() == {"data": []}
    assert web.get(f"/_emulator/conversations/{zelto.call}").json()["upcoming"] == upcoming
    eventually(lambda: zelto.list().json()["data"] != [])
    [metric] = zelto.list().json()["data"]
    assert metric["createdAt"] == metric["updatedAt"] == due
    assert (metric["label"], metric["score"], metric["source"]) == ("later", 80, "dashboard")
    assert web.get(f"/_emulator/conversations/{zelto.call}").json()["upcoming"] == []


def test_a_metric_of_somebody_else_appears_at_once_without_a_time(web, zelto):
    path = f"/_emulator/conversations/{zelto.call}/customer-metrics"
    full = {"label": "a", "verdict": "fail", "note": "n", "metricId": str(uuid4()), "externalId": "e"}
    web.post(path, json=full)
    [metric] = zelto.list().json()["data"]
    assert metric.items() >= full.items()


def test_a_metric_that_appears_replaces_one_of_the_same_label(zelto, emulator, eventually):
    first = zelto.submit(label="a", score=1).json()
    emulator.add_metric(zelto.call, "a", score=2, after=0.4)
    assert zelto.list().json()["data"] == [first]
    eventually(lambda: zelto.list().json()["data"][0]["score"] == 2)
    [second] = zelto.list().json()["data"]
    assert (second["id"], second["createdAt"]) == (first["id"], first["createdAt"])
    assert second["updatedAt"] > first["updatedAt"]


@pytest.mark.parametrize(
    ("path", "metrics", "metric", "call"),
    [
        ("conversations", "customer-metrics", {"label": "a", "score": 1}, CALL),
        ("conversations", "customer-metrics", {"label": "a", "score": 1}, "no-uuid"),
        ("roark/chats", "metrics", {"slug": "a", "value": 1}, CALL),
        ("roark/chats", "metrics", {"slug": "a", "value": 1}, "no~chat"),
        ("coval/conversations", "metrics", {"value": 1}, COVAL_CALL),
        ("coval/conversations", "metrics", {"value": 1}, "x"),
    ],
)
def test_a_call_that_does_not_exist_is_404(web, path, metrics, metric, call):
    for answer in (
        web.get(f"/_emulator/{path}/{call}"),
        web.post(f"/_emulator/{path}/{call}/{metrics}", json=metric),
    ):
        assert answer.status_code == 404
        assert call in answer.json()["message"]


def test_a_chat_of_roark_is_added_with_values_in_the_vendors_words(web, roark):
    added = web.post("/_emulator/roark/chats", json={"id": CALL})
    assert added.status_code == 201
    assert added.json().keys() == {"id", "available_at"}
    assert added.json()["id"] == CALL
    assert web.post("/_emulator/roark/chats", json={"id": CALL}).status_code == 409
    path = f"/_emulator/roark/chats/{CALL}"
    value = {"slug": "a", "value": 1, "valueReasoning": "because", "participantRole": "agent"}
    answer = web.post(f"{path}/metrics", json=value)
    assert answer.status_code == 201
    assert answer.json().keys() == {"chat_id", "slug", "appears_at"}
    web.post(f"{path}/metrics", json={"slug": "b", "captureStatus": "ERROR", "errorMessage": "down"})
    web.post(f"{path}/metrics", json={"slug": "c", "value": True, "after": 60})
    [chat] = web.get("/_emulator/roark/chats").json()["chats"]
    assert chat == web.get(path).json()
    assert chat["metrics"] == roark(CALL, status="all").json()["data"]
    assert [metric["slug"] for metric in chat["upcoming"]] == ["c"]
    [entry] = chat["metrics"][0]["values"]
    assert (entry["valueReasoning"], entry["participantRole"]) == ("because", "agent")


def test_a_conversation_of_coval_is_added_with_outputs_that_show_their_metrics_name(web, coval):
    added = web.post("/_emulator/coval/conversations", json={"id": COVAL_CALL})
    assert added.status_code == 201
    assert added.json()["id"] == COVAL_CALL
    assert web.post("/_emulator/coval/conversations", json={"id": COVAL_CALL}).status_code == 409
    path = f"/_emulator/coval/conversations/{COVAL_CALL}"
    output = {"metric_id": METRIC, "metric_name": "latency", "value": 2.35}
    answer = web.post(f"{path}/metrics", json=output)
    assert answer.status_code == 201
    assert answer.json().items() >= {"conversation_id": COVAL_CALL, "metric_id": METRIC}.items()
    web.post(f"{path}/metrics", json={"value": ["a"], "ready_after": 60})
    web.post(f"{path}/metrics", json={"value": "x", "after": 60})
    [conversation] = web.get("/_emulator/coval/conversations").json()["conversations"]
    assert conversation == web.get(path).json()
    [row] = coval(COVAL_CALL, filter="metric_name=latency").json()["metrics"]
    assert conversation["metrics"][0].items() >= {**row, **output, "output_type": "float"}.items()
    assert [metric["status"] for metric in conversation["metrics"]] == ["COMPLETED", "IN PROGRESS"]
    assert [len(metric["metric_id"]) for metric in conversation["upcoming"]] == [22]


@pytest.mark.parametrize("path", ["roark/chats", "coval/conversations"])
def test_a_call_of_another_service_needs_no_id_and_is_none_of_zeltos(web, path):
    first, second = (web.post(f"/_emulator/{path}").json()["id"] for _ in range(2))
    assert first != second
    assert web.get(f"/_emulator/{path}/{first}").json()["id"] == first
    assert web.get("/_emulator/conversations").json() == {"conversations": []}


def test_settings_change_only_what_is_named(web):
    start = web.get("/_emulator/settings").json()
    assert start == {
        "metrics_enabled": True,
        "metric_ids": None,
        "any_conversation": False,
        "latency": 0.0,
        "nulls": "absent",
        "repeat_page_token": False,
    }
    changes = {"metrics_enabled": False, "metric_ids": [CALL], "latency": 0.01}
    answer = web.patch("/_emulator/settings", json=changes)
    assert answer.status_code == 200
    assert answer.json() == start | changes
    assert web.patch("/_emulator/settings", json={"metric_ids": None, "nulls": "null"}).json() == start | {
        "metrics_enabled": False,
        "latency": 0.01,
        "nulls": "null",
    }
    assert web.get("/_emulator/settings").json()["nulls"] == "null"


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "conversations", {"id": "x"}, "id"),
        ("POST", "conversations", {"id": CALL, "available_after": -1}, "available_after"),
        ("POST", "conversations", {"avaliable_after": 1}, "avaliable_after"),
        ("POST", f"conversations/{CALL}/customer-metrics", {"label": "a"}, "body"),
        ("POST", f"conversations/{CALL}/customer-metrics", {"label": "a", "score": 1, "aftr": 1}, "aftr"),
        ("POST", f"conversations/{CALL}/customer-metrics", {"label": "a", "score": 1, "after": "1"}, "after"),
        ("POST", f"conversations/{CALL}/customer-metrics", {"label": "a", "score": 101}, "score"),
        ("PATCH", "settings", {"latency": -1}, "latency"),
        ("PATCH", "settings", {"latency": True}, "latency"),
        ("PATCH", "settings", {"metrics_enabled": "no"}, "metrics_enabled"),
        ("PATCH", "settings", {"metric_ids": ["x"]}, "metric_ids.0"),
        ("PATCH", "settings", {"nulls": "none"}, "nulls"),
        ("PATCH", "settings", {"repeat_page_token": 1}, "repeat_page_token"),
        ("POST", "roark/chats", {"id": "a b"}, "id"),
        ("POST", "roark/chats", {"chat_id": "a"}, "chat_id"),
        ("POST", "roark/chats/x/metrics", {"slug": "a"}, "body"),
        ("POST", "roark/chats/x/metrics", {"slug": "a", "value": 1, "valueReason": ""}, "valueReason"),
        ("POST", "roark/chats/x/metrics", {"value": 1}, "slug"),
        ("POST", "coval/conversations", {"id": CALL}, "id"),
        ("POST", "coval/conversations/x/metrics", {"value": 1, "status": "DONE"}, "status"),
        ("POST", "coval/conversations/x/metrics", {"value": {}}, "value"),
        ("POST", "coval/conversations/x/metrics", {"reday_after": 1}, "reday_after"),
        ("PATCH", "settings", {"api_key": "x"}, "api_key"),
        ("POST", "faults", {}, "body"),
        ("POST", "faults", {"status": 99}, "status"),
        ("POST", "faults", {"status": 503, "counts": 3}, "counts"),
        ("POST", "faults", {"status": 503, "service": "roarck"}, "service"),
        ("POST", "faults", {"status": 503, "retry_after": True}, "retry_after"),
        ("POST", "faults", {"status": 503, "headers": {"X A": "a"}}, "headers"),
    ],
)
def test_a_wrong_field_is_400_and_named(web, method, path, body, field):
    before = web.get("/_emulator/settings").json()
    answer = web.request(method, f"/_emulator/{path}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"] == "Validation failed"
    assert answer.json()["details"].keys() == {field}
    assert web.get("/_emulator/settings").json() == before


@pytest.mark.parametrize(
    ("content", "content_type"),
    [(b"{", "application/json"), (b"[]", "application/json"), (b'{"status": 503}', "text/plain")],
)
def test_a_body_that_is_no_json_object_is_400(web, content, content_type):
    answer = web.post("/_emulator/faults", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == 400
    assert answer.json()["details"].keys() == {"body"}


def test_an_unknown_path_is_404_in_json(web):
    answer = web.get("/_emulator/nothing")
    assert answer.status_code == 404
    assert answer.json() == {"error": "Not Found"}


def test_a_wrong_method_is_405_in_json(web):
    answer = web.put("/_emulator/health")
    assert answer.status_code == 405
    assert answer.json() == {"error": "Method Not Allowed"}
    assert "GET" in answer.headers["Allow"]


def test_reset_goes_back_to_the_start(web, zelto, emulator):
    zelto.submit(label="a", score=1)
    emulator.add_metric(zelto.call, "b", score=1, after=0.05)
    emulator.fault(status=503, path="nowhere")
    chat, conversation = emulator.roark.add_chat(), emulator.coval.add_conversation()
    emulator.roark.add_metric_value(chat, "a", 1, name="A name")
    emulator.coval.add_metric_output(conversation, 1, metric_id=METRIC, metric_name="latency")
    start = emulator.settings()
    emulator.settings(metrics_enabled=False, latency=0.01)
    assert web.post("/_emulator/reset").status_code == 204
    assert emulator.settings() == start
    assert emulator.conversations() == emulator.roark.chats() == emulator.coval.conversations() == []
    assert emulator.faults() == []
    assert emulator.journal() == []
    emulator.add_conversation(zelto.call)
    time.sleep(0.06)  # The metric that was still to come must not come any more.
    assert emulator.metrics(zelto.call) == []
    emulator.roark.add_metric_value(emulator.roark.add_chat(chat), "a", 1)
    assert emulator.roark.chats()[0]["metrics"][0]["name"] == "A"
    emulator.coval.add_metric_output(emulator.coval.add_conversation(conversation), 1, metric_id=METRIC)
    assert emulator.coval.conversations()[0]["metrics"][0]["metric_name"] == METRIC


def test_a_reset_waits_for_the_request_that_is_being_answered(zelto, emulator, monkeypatch):
    state = emulator._control.zelto
    is_available = state.is_available
    resets = []

    def find_while_somebody_resets(call: str) -> bool:
        found = is_available(call)
        resets.append(threading.Thread(target=emulator.reset))
        resets[-1].start()
        resets[-1].join(0.1)
        return found

    monkeypatch.setattr(state, "is_available", find_while_somebody_resets)
    assert zelto.submit(label="a", score=1).status_code == 201
    for reset in resets:
        reset.join()
    assert emulator.conversations() == []
