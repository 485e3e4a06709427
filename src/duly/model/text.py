"""Text from functions and people, made such that every database takes it."""

from __future__ import annotations


def replace_unstorable(text: str) -> str:
    """Without NUL and lone surrogates, which not every database takes."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\N{SYMBOL FOR NULL}").encode(errors="replace").decode()


def storable_text(text: str, limit: int) -> str:
    """Storable text; what is longer than ``limit`` is cut in the middle."""
    held = replace_unstorable(text)
    if len(held) <= limit:
        return held
    half = limit // 2 - 10
    return f"{held[:half]}\n… cut …\n{held[-half:]}" if half > 0 else held[:limit]


def safe_repr(value: object, limit: int) -> str:
    """``repr(value)``, cleaned; never an error, whatever the value does."""
    try:
        return storable_text(repr(value), limit)
    except Exception as error:  # noqa: BLE001 - a foreign repr may raise anything
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def safe_str(error: BaseException, limit: int) -> str:
    """``str(error)``, cleaned; never an error, whatever this one does."""
    try:
        return storable_text(str(error), limit)
    except Exception as problem:  # noqa: BLE001 - a foreign str may raise anything
        return f"<message that cannot be shown: {type(problem).__name__}>"
