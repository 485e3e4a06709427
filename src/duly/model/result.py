"""What a function returns, as it is stored."""

from __future__ import annotations

from typing import Any

from duly.model import payload
from duly.model.text import told


def result_text(value: Any) -> str | None:
    """A returned value as JSON text; of one that cannot be stored, why it cannot."""
    if value is None:
        return None
    from pydantic_core import to_json  # noqa: PLC0415 - costs 30 ms

    try:
        text = to_json(value, inf_nan_mode="null").decode()
        return payload.checked(payload.encode(payload.decode(text)), "the result")
    except Exception as error:  # noqa: BLE001 - a foreign value may raise anything
        return payload.encode({"not_stored": told(error, 500)})
