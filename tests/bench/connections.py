"""The connections of both sides of a comparison, to the same server."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit


def connections(url: str, key: str = "benchmark") -> dict[str, dict[str, Any]]:
    """Give ours and the HTTP provider's, by their ids."""
    address = urlsplit(url)
    common = {"host": address.hostname, "port": address.port, "schema": address.scheme}
    return {
        "zelto_default": {**common, "conn_type": "zelto", "password": key},
        "http_default": {**common, "conn_type": "http", "extra": {"Authorization": f"Bearer {key}"}},
    }
