from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.emulator.zelto_client import KEY

HOSTILE = "<script>alert(1)</script><img src=x onerror='alert(2)'>\"&amp;{{ 7 * 7 }}"


class Elements(HTMLParser):
    """The start tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(web):
    def load():
        answer = web.get("/")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        return Elements(answer.text)

    return load


def test_an_empty_emulator_says_so(page):
    text = page().text
    assert "No requests yet." in text
    assert "No calls yet." in text


def test_a_metric_shows_with_verdict_score_bar_note_and_time(page, zelto):
    metric = zelto.submit(
        label="Compliance Check", verdict="pass", score=92.5, note="greeting missing"
    ).json()
    shown = page()
    for text in (
        zelto.call,
        "Compliance Check",
        "pass",
        "92.5",
        "greeting missing",
        metric["updatedAt"][11:19],
    ):
        assert text in shown.text
    assert [bar["width"] for bar in shown.named("rect") if bar["class"] == "fill"] == ["92.5"]
    assert metric["updatedAt"] in [time["datetime"] for time in shown.named("time")]


@pytest.mark.parametrize("nulls", ["null", "absent"])
def test_a_verdict_alone_has_no_bar_and_a_score_of_zero_has_one(page, zelto, emulator, nulls):
    emulator.settings(nulls=nulls)
    zelto.submit(label="a", verdict="fail")
    assert page().named("rect") == []
    zelto.submit(label="a", score=0)
    assert "0" in [bar["width"] for bar in page().named("rect")]
    assert "None" not in page().text


def test_what_is_still_to_come_is_shown_as_such(page, emulator):
    call = emulator.add_conversation(available_after=60)
    emulator.add_metric(call, "Audio quality", score=1, after=60)
    text = page().text
    assert "processed at" in text
    assert "Audio quality" in text
    assert "to come" in text


def test_the_figure_above_counts_the_metrics_that_are_shown_below(page, emulator):
    call = emulator.add_conversation()
    emulator.add_metric(call, "Empathy", score=1)
    emulator.add_metric(call, "Resolution", score=2)
    emulator.add_metric(call, "Audio quality", score=3, after=60)
    assert "Metrics2" in page().text


def test_chats_of_roark_are_shown_with_status_value_and_reason(page, emulator):
    assert "Roark" not in page().text
    chat = emulator.roark.add_chat(available_after=60)
    emulator.roark.add_metric_value(chat, "call_reason", "billing", value_reasoning="as heard")
    emulator.roark.add_metric_value(chat, "resolved", True)
    emulator.roark.add_metric_value(chat, "tone", 0, participant_role="agent")
    emulator.roark.add_metric_value(chat, "tone", capture_status="ERROR", error_message="provider down")
    emulator.roark.add_metric_value(chat, "late", 1, after=60)
    shown = page()
    for text in (
        "Roark chats",
        chat,
        "processed at",
        "call_reason",
        "billing",
        "as heard",
        "late",
        "to come",
    ):
        assert text in shown.text
    chips = [span["class"] for span in shown.named("span") if span["class"].startswith("chip")]
    assert chips == ["chip wait", "chip pass", "chip pass", "chip pass", "chip fail", "chip wait"]
    assert [note["title"] for note in shown.named("div") if note.get("class") == "note"] == [
        *("billing", "as heard"),
        *("true", ""),
        *("0", ""),
        *("", "provider down"),
    ]


def test_conversations_of_coval_are_shown_with_status_value_and_reason(page, emulator):
    assert "Coval" not in page().text
    conversation = emulator.coval.add_conversation()
    assert "No metrics yet." in page().text
    add = emulator.coval.add_metric_output
    add(conversation, 2.35, metric_name="latency", explanation="as measured")
    add(conversation, ["billing", "delivery"], metric_name="topics")
    add(conversation, "x", metric_name="tone", ready_after=60)
    add(conversation, metric_name="voice", status="FAILED", status_reason="no audio")
    add(conversation, 1, metric_name="late", after=60)
    shown = page()
    for text in ("Coval conversations", conversation, "latency", "IN PROGRESS", "late", "to come"):
        assert text in shown.text
    chips = [span["class"] for span in shown.named("span") if span["class"].startswith("chip")]
    assert chips == ["chip pass", "chip pass", "chip wait", "chip fail", "chip wait"]
    assert [note["title"] for note in shown.named("div") if note.get("class") == "note"] == [
        *("2.35", "as measured"),
        *("billing, delivery", ""),
        *("", ""),
        *("", "no audio"),
    ]


def test_the_last_requests_are_shown_with_status_and_fault(page, zelto, emulator):
    zelto.list("no-such-call")
    number = emulator.fault(status=503)
    zelto.list()
    text = page().text
    for shown in ("no-such-call", "404", "503", f"#{number}"):
        assert shown in text


def test_metrics_switched_off_are_announced(page, emulator):
    emulator.settings(metrics_enabled=False)
    assert "Metrics are switched off" in page().text


def test_the_calls_that_changed_last_come_first_and_are_fifty(page, zelto, emulator):
    calls = [emulator.add_conversation() for _ in range(60)]
    zelto.submit(label="a", score=1)
    shown = re.findall(r"[0-9a-f-]{36}", page().text)[:50]
    assert shown == [zelto.call, *reversed(calls[-49:])]
    assert "The 50 calls that changed last, of 61." in page().text


def test_hostile_text_is_shown_and_not_obeyed(page, zelto, emulator):
    before = [tag for tag, _ in page().tags if tag in ("script", "img")]
    zelto.submit(label=HOSTILE, score=1, note=HOSTILE)
    emulator.add_metric(zelto.call, HOSTILE + "2", score=1, after=60)
    emulator.roark.add_metric_value(emulator.roark.add_chat(), HOSTILE, HOSTILE, value_reasoning=HOSTILE)
    conversation = emulator.coval.add_conversation()
    emulator.coval.add_metric_output(conversation, [HOSTILE], metric_name=HOSTILE, explanation=HOSTILE)
    zelto.client.get("/v1/" + HOSTILE)
    shown = page()
    assert shown.text.count(HOSTILE) == 10
    assert [tag for tag, _ in shown.tags if tag in ("script", "img")] == before == ["script"]
    assert not any(name.startswith("on") for _, attributes in shown.tags for name in attributes)


def test_nothing_is_loaded_from_elsewhere(page, web):
    shown = page()
    for attributes in shown.named("script") + shown.named("link"):
        target = attributes.get("src") or attributes["href"]
        assert target.startswith(("_emulator/", "data:"))
        if not target.startswith("data:"):
            answer = web.get("/" + target)
            assert answer.status_code == 200
            assert "http" not in answer.text
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert web.get("/_emulator/page.css").headers["Content-Type"].startswith("text/css")
    assert web.get("/_emulator/page.js").headers["Content-Type"].startswith("text/javascript")


def test_the_browser_is_told_to_run_nothing_but_the_pages_own_files(web):
    policy = web.get("/").headers["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in policy


def test_the_page_refreshes_by_itself(page, web):
    shown = page()
    assert {"http-equiv": "refresh", "content": "2"} in shown.named("meta")
    assert "setTimeout(refresh" in web.get("/_emulator/page.js").text


def test_the_key_is_nowhere_on_the_page(web, zelto):
    zelto.client.get(f"/v1/{KEY}")
    assert KEY not in web.get("/").text


def test_only_get_is_answered_at_the_root(web):
    assert web.post("/").status_code == 405
