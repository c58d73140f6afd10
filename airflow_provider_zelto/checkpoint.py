"""How far a batch has come, kept where a retry of the task finds it (Airflow 3.3 and newer)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

_KEY = "zelto_batch"
_MOST_ROWS_AHEAD = 50_000
_MOST_REFUSALS = 100  # their reasons are kept too, and Airflow wants such values small
_LONGEST_REASON = 500


class StateStore(Protocol):
    """What is used of Airflow's ``task_state_store``."""

    def get(self, key: str, default: Any = None) -> Any:
        """Give a value."""

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""

    def delete(self, key: str) -> None:
        """Forget a value."""


class SourceChangedError(Exception):
    """The rows are not those that an earlier try has dealt with."""


class Checkpoint:
    """
    Knows up to which row everything is dealt with, and recognises those rows when they are read again.

    A chain of digests over the rows tells whether a file or a query gives the same rows in the same order as
    before; when it does not, nothing may be skipped.

    :param store: where progress is kept; None to keep none.
    :param scope: what else must be the same to go on, e.g. the connection.
    """

    def __init__(self, store: StateStore | None, scope: str) -> None:
        self._store = store
        self._scope = scope
        kept = store.get(_KEY) if store else None
        if not isinstance(kept, Mapping) or kept.get("scope") != scope:
            kept = {}
        self._begin(kept)

    def _begin(self, earlier: Mapping[str, Any]) -> None:
        self._skip_to: int = earlier.get("rows", 0)
        self._expected: str = earlier.get("digest", "")
        self._refusals: dict[str, str] = dict(earlier.get("refusals", {}))
        self._rows = 0
        self._digest = b""
        self._digests_ahead: dict[int, bytes] = {}
        self._done: set[int] = set()
        self._tracks = self._store is not None
        self._state: dict[str, Any] | None = None

    @property
    def is_far_ahead(self) -> bool:
        """Tell whether so many rows wait for an earlier one that memory wants a pause in reading."""
        return len(self._digests_ahead) > _MOST_ROWS_AHEAD

    def start_over(self) -> None:
        """Forget the progress of earlier tries."""
        self._begin({})

    def read(self, number: int, row: Any) -> bool:
        """
        Take note of a row; tell whether an earlier try has dealt with it.

        :raises SourceChangedError: when the rows so far are not those of the earlier try.
        """
        if not self._tracks:
            return number <= self._skip_to
        self._digest = hashlib.blake2b(
            self._digest + repr(row).encode(errors="replace"), digest_size=16
        ).digest()
        self._digests_ahead[number] = self._digest
        if number == self._skip_to and self._digest.hex() != self._expected:
            raise SourceChangedError
        return number <= self._skip_to

    def refusal(self, number: int) -> str | None:
        """Give the reason for which the service refused a row in an earlier try."""
        return self._refusals.get(str(number))

    def end(self, rows: int) -> None:
        """
        Take note that there are no more rows than this.

        :raises SourceChangedError: when the earlier try has dealt with more.
        """
        if rows < self._skip_to:
            raise SourceChangedError

    def done(self, number: int, refused_because: str | None = None) -> None:
        """Take note that a row is stored, refused by the service, or never to be sent."""
        if not self._tracks:
            return
        if refused_because is not None:
            self._refusals[str(number)] = refused_because[:_LONGEST_REASON]
            if len(self._refusals) > _MOST_REFUSALS:
                # What is kept so far stays true: a retry sends again what comes after it.
                self._tracks = False
                self._digests_ahead.clear()
                return
        self._done.add(number)
        while self._rows + 1 in self._done:
            self._rows += 1
            self._done.remove(self._rows)
            digest = self._digests_ahead.pop(self._rows)
            self._state = {"scope": self._scope, "rows": self._rows, "digest": digest.hex()}

    def save(self) -> None:
        """Keep the progress where a retry finds it."""
        state = self._state
        if self._store is not None and state is not None and state["rows"] > self._skip_to:
            refusals = {n: why for n, why in list(self._refusals.items()) if int(n) <= state["rows"]}
            self._store.set(_KEY, {**state, "refusals": refusals})

    def clear(self) -> None:
        """Forget everything, so that a task cleared after its success begins at the first row."""
        if self._store is not None:
            self._store.delete(_KEY)
