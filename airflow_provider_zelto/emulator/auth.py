"""API keys: read from a request, compared, and kept out of whatever is shown."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from airflow_provider_zelto.emulator.service import Headers

# Masking a shorter key would also blank ordinary words that happen to contain it.
_SHORTEST_MASKED_KEY = 8


def bearer(headers: Headers) -> bytes | None:
    """Return the key of an ``Authorization: Bearer`` header."""
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else None


class Keys:
    """The API keys that are accepted."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = tuple(key.encode() for key in keys)
        if not self._keys or not all(_printable(key) for key in self._keys):
            raise ValueError("An API key is one or more printable ASCII characters without spaces")
        self._masked = tuple(key for key in self._keys if len(key) >= _SHORTEST_MASKED_KEY)

    def accept(self, key: bytes | None) -> bool:
        """Return whether the key is one of these."""
        return key is not None and any(hmac.compare_digest(key, known) for known in self._keys)

    def mask(self, data: bytes) -> bytes:
        """Return the data with every key in it replaced by ``***``."""
        for key in self._masked:
            if key in data:
                data = data.replace(key, b"***")
        return data


def _printable(key: bytes) -> bool:
    return bool(key) and all(0x21 <= byte <= 0x7E for byte in key)
