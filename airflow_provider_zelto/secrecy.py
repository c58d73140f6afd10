"""Keeping a secret out of words that come from elsewhere: a server may send back what it was sent."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from urllib.parse import quote


def redact(text: str, secret: str) -> str:
    """Replace a secret by ``***``, in whichever way JSON, Python or a URL spells it."""
    return _pattern(secret).sub("***", text)


@lru_cache(maxsize=64)
def _pattern(secret: str) -> re.Pattern[str]:
    spellings = {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], repr(secret.encode())[2:-1]}
    spellings |= {quote(secret, safe=""), quote(secret)}
    return re.compile("|".join(map(re.escape, sorted(spellings, key=len, reverse=True))))
