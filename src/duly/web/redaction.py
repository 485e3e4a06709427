"""Nothing secret is shown: values are hidden by the name they go by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[hidden]"
_NAMES = (
    r"passw(?:or)?d|passphrase|secret|token|credential|api[-_]?key|access[-_]?key|private[-_]?key"
    r"|authorization|cookie|signature|dsn"
)
_KEY = re.compile(_NAMES, re.IGNORECASE)
_URL_ACCOUNT = re.compile(r"(?<=://)[^\s/@'\"<>]{1,200}(?=@)")
_BEARER = re.compile(r"\b(bearer|basic) +[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
# A name, then what stands after ":" or "=": in quotes, or up to the next space or separator.
_PAIR = re.compile(
    rf"((?:{_NAMES})[\w.-]{{0,40}}[\"']?\s{{0,3}}[=:]\s{{0,3}})"
    r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&)\]}\"']+)",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def redact(value: Any) -> Any:
    """The same JSON value; what stands under a secret's name is hidden, at every depth."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _KEY.search(str(key)) and held not in (None, "") else redact(held)
            for key, held in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def redact_text(text: str | None) -> str | None:
    """The same text; control characters are left out, ``password=…`` and its kin are hidden."""
    if not text:
        return text
    text = _CONTROL.sub("", text)
    if "@" in text:
        text = _URL_ACCOUNT.sub(HIDDEN, text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return _PAIR.sub(rf"\1{HIDDEN}", text)
