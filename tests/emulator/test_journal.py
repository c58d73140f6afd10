from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from airflow_provider_zelto.emulator.auth import Keys
from airflow_provider_zelto.emulator.journal import Journal, JournalFilter
from airflow_provider_zelto.emulator.service import Request
from tests.emulator.zelto_client import KEY


def entries(web, **filters):
    answer = web.get("/_emulator/journal", params=filters)
    assert answer.status_code == 200
    return answer.json()["entries"]


def test_a_request_is_written_down_with_what_came_of_it(web, zelto):
    before = datetime.now(UTC)
    zelto.request(
        "POST",
        headers={"Authorization": f"Bearer {KEY}", "User-Agent": "a-client/1"},
        params={"a": "b"},
        json={"label": "a", "score": 1},
    )
    [entry] = entries(web)
    at = datetime.fromisoformat(entry.pop("at"))
    assert before <= at <= datetime.now(UTC)
    assert entry == {
        "n": 1,
        "service": "zelto",
        "method": "POST",
        "path": f"/v1/conversations/{zelto.call}/customer-metrics",
        "query": "a=b",
        "status": 201,
        "body": {"label": "a", "score": 1},
        "user_agent": "a-client/1",
        "fault": None,
        "authorized": True,
    }


def test_each_service_writes_down_its_own_requests(web, roark, coval, emulator):
    chat, conversation = emulator.roark.add_chat(), emulator.coval.add_conversation()
    roark(chat, status="all")
    coval(conversation, page_size=0)
    shown = [
        {name: entry[name] for name in ("service", "path", "query", "status", "authorized")}
        for entry in entries(web)
    ]
    assert shown == [
        {
            "service": "roark",
            "path": f"/roark/v1/chat/{chat}/metrics",
            "query": "status=all",
            "status": 200,
            "authorized": True,
        },
        {
            "service": "coval",
            "path": f"/coval/v1/conversations/{conversation}/metrics",
            "query": "page_size=0",
            "status": 400,
            "authorized": True,
        },
    ]
    assert [entry["n"] for entry in entries(web, service="coval")] == [2]


def test_a_refused_request_is_written_down_as_such(web, zelto):
    zelto.request("GET", headers={"Authorization": "Bearer wrong"})
    [entry] = entries(web)
    assert (entry["authorized"], entry["status"], entry["body"]) == (False, 401, None)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"status": 503}, 503),
        ({"action": "reset"}, None),
        ({"action": "cut_body"}, 200),
        ({"delay": 0.01}, 200),
    ],
)
def test_a_struck_request_names_its_fault(web, zelto, emulator, fault, status):
    number = emulator.fault(**fault)
    with contextlib.suppress(httpx.TransportError):
        zelto.list()
    [entry] = entries(web)
    assert (entry["fault"], entry["status"]) == (number, status)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff"])
def test_a_body_that_is_no_json_reads_as_null(web, zelto, content):
    zelto.request("POST", content=content)
    assert entries(web)[0]["body"] is None


def test_a_number_too_large_for_json_reads_as_null(web, zelto):
    zelto.request("POST", content=b'{"label": "a", "score": 1e999}')
    assert entries(web)[0]["body"] == {"label": "a", "score": None}


def test_the_control_api_and_the_page_are_not_written_down(web):
    for path in ("/", "/_emulator/health", "/_emulator/journal"):
        web.get(path)
    assert entries(web) == []


def test_filters_narrow_the_journal(web, zelto, emulator):
    zelto.submit(label="a", score=1)
    zelto.submit(label="a")
    zelto.list()
    zelto.list(str(emulator.add_conversation()))
    middle = entries(web)[2]

    def numbers(**filters):
        return [entry["n"] for entry in entries(web, **filters)]

    assert numbers() == [1, 2, 3, 4]
    assert numbers(method="post") == [1, 2]
    assert numbers(status=400) == [2]
    assert numbers(path=zelto.call) == [1, 2, 3]
    assert numbers(service="zelto", method="GET") == [3, 4]
    assert numbers(service="roark") == []
    assert numbers(since=2) == [3, 4]
    assert numbers(since=middle["at"]) == [3, 4]
    assert numbers(since=1, limit=2) == [2, 3]
    assert numbers(limit=0) == []
    assert [entry["n"] for entry in emulator.journal(method="GET", since=3)] == [4]
    assert emulator.journal(since=datetime.now(UTC) + timedelta(hours=1)) == []


@pytest.mark.parametrize("wrong", [{"status": "x"}, {"since": "yesterday"}, {"limit": -1}, {"mehtod": "GET"}])
def test_a_wrong_filter_is_400_and_named(web, wrong):
    answer = web.get("/_emulator/journal", params=wrong)
    assert answer.status_code == 400
    assert answer.json()["details"].keys() == wrong.keys()


def test_a_cleared_journal_counts_from_one_again(web, zelto, emulator):
    zelto.list()
    assert web.delete("/_emulator/journal").status_code == 204
    assert entries(web) == []
    zelto.list()
    assert [entry["n"] for entry in entries(web)] == [1]
    emulator.clear_journal()
    assert emulator.journal() == []


def test_the_key_is_nowhere_in_the_journal(web, zelto, roark, coval, emulator):
    roark(KEY, key=KEY)
    coval(KEY, key=KEY)
    zelto.client.get(f"/v1/{KEY}", params={"api_key": KEY}, headers={"User-Agent": KEY})
    zelto.submit(label=f"a label with the key {KEY}", score=1)
    zelto.request("GET", headers={"Authorization": f"Bearer {KEY}", "Cookie": KEY, "x-api-key": KEY})
    text = web.get("/_emulator/journal").text
    assert len(entries(web)) == 5
    assert "***" in text
    assert "bearer" not in text.lower()
    assert KEY not in text + json.dumps(emulator.journal())


def test_a_long_journal_is_streamed_and_requests_are_answered_meanwhile(web, running, emulator):
    count = 20_000
    journal = running._control.journal
    request = Request("POST", "/", "", {b"user-agent": b"x" * 100}, b'{"label":"a","score":1}')
    for _ in range(count):
        journal.add("zelto", "/v1/x", request, authorized=True)
    with web.stream("GET", "/_emulator/journal") as answer:
        assert "content-length" not in answer.headers
        pieces = answer.iter_raw()
        text = next(pieces)
        assert httpx.get(f"{running.url}/_emulator/health", trust_env=False).status_code == 200
        text += b"".join(pieces)
    assert [entry["n"] for entry in json.loads(text)["entries"]] == list(range(1, count + 1))
    assert [entry["n"] for entry in entries(web, since=count - 1)] == [count]


def test_the_oldest_entries_make_room_for_new_ones(monkeypatch):
    monkeypatch.setattr("airflow_provider_zelto.emulator.journal._LIMIT", 3)
    journal = Journal(Keys(["some-key"]))
    for number in range(5):
        journal.add("zelto", f"/{number}", Request("GET", "/", "", {}, b""), authorized=True)
    assert [(entry["n"], entry["path"]) for entry in journal.read(JournalFilter())] == [
        (3, "/2"),
        (4, "/3"),
        (5, "/4"),
    ]
    assert [entry["n"] for entry in journal.latest(2)] == [5, 4]
    assert journal.count == 5
