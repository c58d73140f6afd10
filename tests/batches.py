"""Batches of rows, and the emulator's journal as the judge of what became of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

Row = dict[str, Any]

_API_NAMES = {
    "label": "label",
    "score": "score",
    "verdict": "verdict",
    "note": "note",
    "externalId": "external_id",
}


class StateStore(dict[str, str]):
    """Keeps values from one try of a task to the next, as JSON, like Airflow."""

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self[key]) if key in self else default

    def set(self, key: str, value: Any) -> None:
        self[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        self.pop(key, None)


def make_rows(calls: Sequence[str], count: int, labels: int = 3) -> list[Row]:
    """Make rows, several for the same call and label once there are more than calls times labels."""
    return [
        {
            "conversation_id": calls[number % len(calls)],
            "label": f"Label {number // len(calls) % labels}",
            "score": number % 101,
            "verdict": "pass" if number % 2 else "fail",
            "note": f"note {number}",
            "external_id": f"row {number}",
        }
        for number in range(count)
    ]


def submits(zelto: Any, status: int | None = 201) -> list[Mapping[str, Any]]:
    """Give the journal's submits, those with one status or, for None, all."""
    entries = zelto.journal(method="POST") if status is None else zelto.journal(method="POST", status=status)
    # A request that was cut off while it arrived has no body.
    return [entry for entry in entries if entry["body"] is not None]


def rows_sent(zelto: Any, status: int | None = 201) -> list[Row]:
    """Give what was submitted, in the order it came, as rows."""
    return [
        {
            "conversation_id": entry["path"].split("/")[3],
            **{name: entry["body"][field] for field, name in _API_NAMES.items() if field in entry["body"]},
        }
        for entry in submits(zelto, status)
    ]


def rows_stored(zelto: Any) -> list[Row]:
    """Give all metrics of all calls as rows."""
    return [
        {
            "conversation_id": call["id"],
            **{name: metric[field] for field, name in _API_NAMES.items() if field in metric},
        }
        for call in zelto.conversations()
        for metric in call["metrics"]
    ]


def judge(zelto: Any, rows: Sequence[Row], *, rejected: Sequence[Row] = (), tries: int = 1) -> None:
    """
    Assert that no row was lost or changed, and that the last one of each call and label holds.

    :param rows: those that are to be found in Zelto.
    :param rejected: those that may have been sent, and were not stored.
    :param tries: how often the task was run: within one try, rows of a call and label are stored in order.
    """
    given = {row["external_id"]: row for row in (*rows, *rejected)}
    sent = rows_sent(zelto)
    assert [row for row in rows_sent(zelto, None) if row != given[row["external_id"]]] == []
    assert {row["external_id"] for row in sent} == {row["external_id"] for row in rows}
    last = {_key(row): row for row in rows}
    assert {_key(row): row for row in rows_stored(zelto)} == last
    places = {row["external_id"]: place for place, row in enumerate(rows)}
    for _, of_key in groupby(sorted(sent, key=_key), key=_key):
        order = [places[row["external_id"]] for row in of_key]
        assert sum(later < earlier for earlier, later in pairwise(order)) < tries


def _key(row: Row) -> tuple[str, str]:
    return row["conversation_id"], row["label"]
