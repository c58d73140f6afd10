"""Transfers from any source, and what they find there."""

from __future__ import annotations

from tests.answers import CALL


def csat(of, /, **rules):
    return {"source": of.metrics[0], "label": "CSAT", "score_range": (1, 5), **rules}


def tone(of, /, **rules):
    return {"source": of.metrics[1], "label": "Tone", "pass_when": {"in": ["calm"]}, **rules}


def make_transfer(source, **arguments):
    return source.transfer(**{"task_id": "carry", "mappings": [csat(source), tone(source)], **arguments})


def pair(source, source_id, call=CALL):
    return {source.transfer_id: source_id, "conversation_id": call}


def submits(emulator):
    return emulator.journal(service="zelto", method="POST")


def evaluations(emulator, call):
    """Give what Zelto holds of a call: score, verdict and note by label."""
    return {
        metric["label"]: (metric.get("score"), metric.get("verdict"), metric.get("note"))
        for metric in emulator.metrics(call)
    }


def fill(emulator, source, count):
    """Add calls at the source and in Zelto, and give their pairs."""
    pairs = []
    for number in range(count):
        source_call = source.add_call()
        source.add(source_call, source.metrics[0], 1 + number % 5)
        source.add(source_call, source.metrics[1], "calm" if number % 2 else "loud")
        pairs.append(pair(source, source_call, emulator.add_conversation()))
    return pairs
