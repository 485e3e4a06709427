"""Redaction: values whose names suggest a secret are never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[hidden]"
REFERENCES = "$secrets"
"""The member of stored arguments that has the names of secrets, not their values."""

_NAMES = (
    r"passw(?:or)?d|passphrase|secret|token|credential|api[-_]?key|access[-_]?key|private[-_]?key"
    r"|authorization|cookie|signature|dsn"
)
_KEY = re.compile(_NAMES, re.IGNORECASE)
_URL_ACCOUNT = re.compile(r"(?<=://)[^\s/@'\"<>]{1,200}(?=@)")
_BEARER = re.compile(r"\b(bearer|basic) +[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
# A name, and the value after ":" or "=": in quotes, or up to the next space or separator. What
# is hidden already stays as it is.
_PAIR = re.compile(
    rf"((?:{_NAMES})[\w.-]{{0,40}}[\"']?\s{{0,3}}[=:]\s{{0,3}})"
    r"(?:\[hidden\]|\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&)\]}\"']+)",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def redact(value: Any) -> Any:
    """Return a JSON value in which values named like secrets are hidden, at every depth."""
    if isinstance(value, Mapping):
        return {
            key: item if key == REFERENCES else _shown(key, item) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def restore(shown: Any, stored: Any) -> Any:
    """Return an edited copy of a redacted JSON value, with what was hidden as it is stored.

    A text that is hidden as a whole or in part is only restored where it was not changed, at its
    own position.

    Args:
        shown: the edited copy.
        stored: the value before it was redacted.

    Raises:
        ValueError: the copy has hidden text elsewhere; the message is its position.
    """
    return _restored(shown, stored, redact(stored), "")


def _restored(shown: Any, stored: Any, redacted: Any, path: str) -> Any:
    if isinstance(shown, Mapping):
        of = isinstance(stored, Mapping) and isinstance(redacted, Mapping)
        before, hidden = (stored, redacted) if of else ({}, {})
        return {
            key: _restored(item, before.get(key), hidden.get(key), f"{path}/{key}")
            for key, item in shown.items()
        }
    if isinstance(shown, list):
        pairs = list(zip(stored, redacted, strict=True)) if isinstance(redacted, list) else []
        pairs += [(None, None)] * (len(shown) - len(pairs))
        return [
            _restored(item, *pair, f"{path}/{index}")
            for index, (item, pair) in enumerate(zip(shown, pairs, strict=False))
        ]
    if isinstance(shown, str) and shown == redacted:
        return stored
    if isinstance(shown, str) and HIDDEN in shown:
        raise ValueError(path)
    return shown


def _shown(key: object, item: Any) -> Any:
    return HIDDEN if _KEY.search(str(key)) and item not in (None, "") else redact(item)


def redact_text(text: str | None) -> str | None:
    """Return text without control characters, and with values as in ``password=…`` hidden."""
    if not text:
        return text
    text = _CONTROL.sub("", text)
    if "@" in text:
        text = _URL_ACCOUNT.sub(HIDDEN, text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return _PAIR.sub(rf"\1{HIDDEN}", text)
