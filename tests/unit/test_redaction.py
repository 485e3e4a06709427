"""Values that are hidden come back where a user has left them, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from duly.model.redaction import redact, restore

STORED: dict[str, Any] = {
    "password": "hunter2",
    "url": "postgres://shop:hunter2@db/orders",
    "rows": [{"token": "abc", "n": 1}, 2],
    "active": True,
    "target": "${TARGET}",
    "$secrets": {"/target": "TARGET"},
}


def test_what_was_not_changed_is_as_it_was_stored() -> None:
    """Redacted and restored, arguments are the same."""
    assert restore(redact(STORED), STORED) == STORED


def test_other_values_can_be_changed() -> None:
    """Text, lists of another length, and a number instead of a boolean."""
    edited = {**redact(STORED), "active": 1, "rows": [{"token": "[hidden]", "n": 5}, 2, 3]}
    restored = restore(edited, STORED)
    assert restored["rows"] == [{"token": "abc", "n": 5}, 2, 3]
    assert restored["active"] is not True
    assert restored["password"] == "hunter2"


@pytest.mark.parametrize(
    ("edited", "position"),
    [
        ({"name": "[hidden]"}, "/name"),
        ({"url": "postgres://[hidden]@elsewhere/orders"}, "/url"),
        ({"rows": [2, {"token": "[hidden]"}]}, "/rows/1/token"),
        ({"deep": {"password": "[hidden]"}}, "/deep/password"),
    ],
)
def test_hidden_text_is_refused_elsewhere(edited: dict[str, Any], position: str) -> None:
    """It would be stored as it is shown, or a secret would move to where it can be read."""
    with pytest.raises(ValueError, match=position):
        restore(edited, STORED)
