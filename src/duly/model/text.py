"""Text from tasks and users, made safe for every database."""

from __future__ import annotations

from duly.errors import ConfigurationError


def replace_unstorable(text: str) -> str:
    """Return text with NUL and lone surrogates replaced: not every database accepts them.

    Raises:
        ConfigurationError: a caller gave something else for an id or a name, such as a function.
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"{safe_repr(text, 100)} is not an id or a name; give a str")
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\N{SYMBOL FOR NULL}").encode(errors="replace").decode()


def encodable(text: str, encoding: str | None) -> str:
    """Return text in which characters that an encoding lacks are escaped.

    Args:
        text: text of a run's history, which must never decide its outcome.
        encoding: the encoding of the database; ``None`` if it stores every character.
    """
    if encoding is None or text.isascii():
        return text
    return text.encode(encoding, errors="backslashreplace").decode(encoding)


def storable_text(text: str, limit: int) -> str:
    """Return text that every database accepts, shortened in the middle to ``limit`` characters."""
    stored = replace_unstorable(text)
    if len(stored) <= limit:
        return stored
    half = limit // 2 - 10
    return f"{stored[:half]}\n… cut …\n{stored[-half:]}" if half > 0 else stored[:limit]


def printable(text: str) -> str:
    """Return text with each character escaped that is not printable, such as a newline or ESC."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def one_line(text: str, limit: int) -> str:
    """Return text that every database accepts and that forges no line, of ``limit`` characters."""
    line = printable(replace_unstorable(text))
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def safe_repr(value: object, limit: int) -> str:
    """Return ``repr(value)`` as storable text; an error inside ``__repr__`` is reported instead."""
    try:
        return storable_text(repr(value), limit)
    except Exception as error:  # noqa: BLE001 - a foreign repr may raise anything
        return f"<{type(value).__name__}: its repr() raised {type(error).__name__}>"


def safe_str(error: BaseException, limit: int) -> str:
    """Return ``str(error)`` as storable text; an error inside ``__str__`` is reported instead."""
    try:
        return storable_text(str(error), limit)
    except Exception as problem:  # noqa: BLE001 - a foreign str may raise anything
        return f"<message not available: str() raised {type(problem).__name__}>"


def with_article(kind: str) -> str:
    """Return the name of a class after ``a`` or ``an``."""
    if kind == "NoneType":
        return "None"
    return f"{'an' if kind[:1] in 'aeioAEIO' else 'a'} {kind}"
