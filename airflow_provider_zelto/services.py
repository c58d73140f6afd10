"""What tells one service from another: its address, its auth header, its error body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Service:
    """
    A vendor's API.

    :ivar name: as people write it.
    :ivar base_url: the vendor's address, used when the connection names no host.
    :ivar auth_header: header that carries the key, and the text before the key in it.
    :ivar read_error: takes the words and the details out of a decoded error body.
    :ivar advice: what to do about an error status.
    :ivar not_allowed: what a 403 means for whoever tests a connection.
    """

    name: str
    base_url: str
    auth_header: tuple[str, str]
    read_error: Callable[[Mapping[str, Any]], tuple[str, Any]]
    advice: Mapping[int, str]
    not_allowed: str


def _read_plain_error(body: Mapping[str, Any]) -> tuple[str, Any]:
    words = [str(body[part]).rstrip(".") for part in ("error", "message") if body.get(part)]
    return ": ".join(words), body.get("details")


ZELTO = Service(
    name="Zelto",
    base_url="https://api.zelto.ai",
    auth_header=("Authorization", "Bearer "),
    read_error=_read_plain_error,
    advice={
        400: "Correct the values sent.",
        401: "Put a valid API key into the password field of the connection "
        "(Zelto: Settings → Integrations → API Call Upload).",
        403: "Have metrics enabled for the organization, and use a metric id that belongs to it.",
        404: "The key's organization has no such call (one uploaded a moment ago takes a while to appear).",
    },
    not_allowed="metrics are not enabled for its organization",
)


def _read_coval_error(body: Mapping[str, Any]) -> tuple[str, Any]:
    error = body["error"]
    return f"{error['code']}: {error['message']}".rstrip("."), error.get("details")


_KEY_ADVICE = "Put a valid API key into the password field of the connection."

ROARK = Service(
    name="Roark",
    base_url="https://api.roark.ai",
    auth_header=("Authorization", "Bearer "),
    read_error=_read_plain_error,
    advice={401: _KEY_ADVICE, 404: "The key's project has no such chat (yet)."},
    not_allowed="it may not read chat metrics",
)

COVAL = Service(
    name="Coval",
    base_url="https://api.coval.dev",
    # Lower case: a gateway before the API is documented to refuse the name in capitals.
    auth_header=("x-api-key", ""),
    read_error=_read_coval_error,
    advice={401: _KEY_ADVICE, 404: "The key's organization has no such conversation (yet)."},
    not_allowed="it may not read conversation metrics",
)
