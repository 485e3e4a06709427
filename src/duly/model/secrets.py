"""Secrets in arguments: stored as references by name, and resolved where a run is executed.

An argument that is a secret is stored as ``${NAME}``, and ``"$secrets"`` beside the arguments maps
its position (a JSON pointer, RFC 6901) to the name. No parameter can have that name, so text that
looks like a reference is never taken for one.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from secrets import token_hex
from typing import Any
from urllib.parse import quote, quote_plus

from duly.errors import ArgumentsError, ConfigurationError, SecretError
from duly.model import payload
from duly.model.redaction import HIDDEN, REFERENCES

Resolve = Callable[[str], str | None]
"""Returns the value of a secret by its name; ``None`` if there is none."""

_MARK = f"duly-secret-{token_hex(8)}:"
_MAX_NAME = 191
_KEY = f'"{REFERENCES}":'


def secret(name: str) -> str:
    """Return an argument that stands for a secret; only its name is stored.

    Pass it where the task takes text: ``charge.enqueue(key=secret("STRIPE_KEY"))``, also inside
    lists, dicts and models. The value is looked up in the process that executes the run, at each
    attempt: in the environment, or by ``Scheduler(secrets=…)``.

    Args:
        name: the name of the secret, such as that of an environment variable; 1 to 191 printable
            characters.

    Raises:
        ConfigurationError: the name is not valid.
    """
    given: object = name
    if not isinstance(given, str) or not 0 < len(name) <= _MAX_NAME or not name.isprintable():
        raise ConfigurationError(
            f"secret({name!r}): give the name of a secret, 1 to {_MAX_NAME} printable characters"
        )
    return _MARK + name


def secret_name(text: str) -> str | None:
    """Return the name of the secret that a text stands for; ``None``: it is ordinary text."""
    return text.removeprefix(_MARK) if text.startswith(_MARK) else None


def with_marks(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return arguments with `secret` in place of references, as a record or a client has them.

    Raises:
        ArgumentsError: ``"$secrets"`` is not valid, or names a position that does not exist.
    """
    if REFERENCES not in arguments:
        return arguments
    found = {name: value for name, value in arguments.items() if name != REFERENCES}
    given = arguments[REFERENCES]
    if not isinstance(given, Mapping):
        raise ArgumentsError(f"{REFERENCES}: give an object of positions and names")
    copy: dict[str, Any] = payload.decode(payload.encode(found))
    for pointer, name in given.items():
        _set(copy, str(pointer), secret(name))
    return copy


def as_references(text: str, what: str) -> str:
    """Return stored arguments, as JSON text, with references in place of `secret`.

    Args:
        text: the JSON text.
        what: whose arguments they are, for error messages.

    Raises:
        ArgumentsError: a secret is a part of a text, or a key.
    """
    if _MARK not in text:
        return text
    arguments = payload.decode(text)
    names = dict(_marked(arguments, ""))
    for pointer, name in names.items():
        _set(arguments, pointer, f"${{{name}}}")
    if names:
        arguments[REFERENCES] = names
    stored = payload.encode(arguments)
    if _MARK in stored:
        raise ArgumentsError(
            f"{what}: a secret must be a whole value, not a part of a text nor the key of a dict; "
            "pass it as an argument of its own, and put the text together in the function"
        )
    return payload.checked(stored, what)


def resolved(text: str, resolve: Callable[[str], str]) -> str:
    """Return stored arguments, as JSON text, with the values of their secrets.

    Args:
        text: the JSON text.
        resolve: returns the value of a secret by its name.
    """
    if _KEY not in text:
        return text
    arguments = payload.decode(text)
    for pointer, name in dict(arguments.pop(REFERENCES, {})).items():
        _set(arguments, pointer, resolve(name))
    return payload.encode(arguments)


def names_in(text: str) -> list[str]:
    """Return the names of the secrets in stored arguments."""
    return sorted(set(payload.decode(text).get(REFERENCES, {}).values())) if _KEY in text else []


def look_up(name: str, resolve: Resolve) -> str:
    """Return the value of a secret.

    Raises:
        SecretError: there is none; the message has its name only.
    """
    try:
        value: object = resolve(name)
    except Exception as error:  # noqa: BLE001 - its message may contain anything
        raise SecretError(
            f"secret {name!r} could not be resolved: {type(error).__name__}"
        ) from None
    if not isinstance(value, str):
        raise SecretError(
            f"secret {name!r} is not set in this process; set the environment variable, "
            "or return its value from Scheduler(secrets=…)"
        )
    return value


class SecretValues:
    """The values of secrets that a run has received, to be hidden in what it leaves behind."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, value: str) -> None:
        """Hide a value from now on, and the forms in which it is often written."""
        if value:
            self._values.add(value)
            forms = {form for known in self._values for form in _forms(known)}
            ordered = sorted(forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, ordered)))

    def hide(self, text: str) -> str:
        """Return text in which the values are hidden."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

    def hide_in_json(self, text: str | None) -> str | None:
        """Return a JSON text in which the values are hidden, whether as text or as numbers."""
        if self._pattern is None or text is None or self._pattern.search(text) is None:
            return text
        return payload.encode(self._hidden(payload.decode(text)))

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.hide(key): self._hidden(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._hidden(item) for item in value]
        if isinstance(value, str):
            return self.hide(value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return HIDDEN if is_number and self.hide(str(value)) != str(value) else value


def _forms(value: str) -> Iterator[str]:
    yield value
    yield repr(value)[1:-1]
    yield payload.encode(value)[1:-1]
    yield quote(value, safe="")
    yield quote_plus(value)
    yield b64encode(value.encode(errors="replace")).decode()


def _marked(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """Yield the pointer and the name of each `secret` in a JSON value."""
    if isinstance(value, str) and value.startswith(_MARK):
        yield pointer, value.removeprefix(_MARK)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _marked(item, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _marked(item, f"{pointer}/{index}")


def _set(arguments: Any, pointer: str, value: str) -> None:
    """Set the value at a position that exists.

    Raises:
        ArgumentsError: it does not exist.
    """
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    try:
        *path, last = parts  # a ValueError without any
        place = arguments
        for part in path:
            place = place[int(part) if isinstance(place, list) else part]
        key = int(last) if isinstance(place, list) else last
        _former = place[key]
        place[key] = value
    except (LookupError, TypeError, ValueError):
        raise ArgumentsError(
            f"{REFERENCES}: {pointer!r} is not the position of an argument; write a JSON pointer, "
            "such as '/key' or '/settings/token'"
        ) from None
