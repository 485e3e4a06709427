"""The arguments of a job as a form shows them, and what was typed as arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from duly.errors import ArgumentsError, DulyError, PayloadError
from duly.model import payload
from duly.model.redaction import HIDDEN, redact
from duly.model.secrets import as_references, secret, secret_name, with_marks
from duly.model.signature import Signature
from duly.web.dashboard.forms.fields import ABSENT, Field
from duly.web.dashboard.forms.texts import Texts, first, lines, normal

ALL = "args"
"""The name of the arguments as a whole."""

_SECRET = re.compile(r'secret\((".*")\)')


@dataclass(slots=True)
class TypedArguments:
    """The arguments that were typed.

    Attributes:
        values: the values that the function receives, if they are valid.
        changed: whether they differ from the stored ones.
        problems: what is wrong, by the name of the input.
    """

    values: dict[str, Any] = field(default_factory=dict)
    changed: bool = False
    problems: dict[str, str] = field(default_factory=dict)


def shown_arguments(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored arguments with references as ``secret("NAME")``, and with secrets hidden."""
    plain = dict(with_marks(stored))
    shown: dict[str, Any] = _shown(plain, redact(plain))
    return shown


def argument_texts(fields: Sequence[Field]) -> dict[str, list[str]]:
    """Return the texts that the inputs start with."""
    texts: dict[str, list[str]] = {}
    for each in every(fields):
        if each.kind == "flag":
            texts[each.name] = ["true"] if each.value is True else []
        elif each.kind != "group":
            texts[each.name] = [each.text]
        elif each.box:
            texts[each.box] = ["true"] if isinstance(each.value, dict) else []
    return texts


def read_arguments(
    signature: Signature, fields: Sequence[Field], stored: Mapping[str, Any], typed: Texts
) -> TypedArguments:
    """Return the arguments that were typed, as the signature accepts them.

    Args:
        signature: the signature of the task.
        fields: the inputs, with what they started with.
        stored: the stored arguments, which an unchanged text stands for.
        typed: what was typed.
    """
    found = TypedArguments()
    marked = dict(with_marks(stored))
    read = _members(fields, typed, found.problems)
    wanted = _restored(read, shown_arguments(stored), marked)
    for key in wanted:
        if not _same(wanted[key], marked.get(key)) and HIDDEN in _texts_in(wanted[key]):
            text = f"{HIDDEN} stands for a value that is not shown; write the value itself."
            found.problems.setdefault(f"args/{key}", text)
    found.changed = not _same(wanted, marked)
    wanted = _marked(wanted, marked)
    if found.problems:
        return found
    try:
        text = as_references(payload.encode(wanted), "the arguments")
        found.values = signature.decode(payload.checked(text, "the arguments"))
    except ArgumentsError as error:
        found.problems = _problems(error, fields)
    except DulyError as error:
        found.problems = {ALL: str(error)}
    return found


def every(fields: Sequence[Field]) -> Iterator[Field]:
    """Yield fields and their parts, from top to bottom."""
    for each in fields:
        yield each
        yield from every(each.parts)


def _shown(value: Any, redacted: Any) -> Any:
    """Return a value as it is redacted, except that the name of a secret is shown."""
    if isinstance(value, str):
        name = secret_name(value)
        return redacted if name is None else f"secret({json.dumps(name, ensure_ascii=False)})"
    if isinstance(value, dict) and isinstance(redacted, dict):
        return {key: _shown(item, redacted[key]) for key, item in value.items()}
    if isinstance(value, list) and isinstance(redacted, list):
        return [_shown(item, other) for item, other in zip(value, redacted, strict=True)]
    return redacted


def _members(fields: Sequence[Field], typed: Texts, problems: dict[str, str]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for each in fields:
        try:
            value = _read(each, typed, problems)
        except _NotReadable as error:
            problems[each.name] = str(error)
            continue
        if value is ABSENT or (not each.given and _same(value, each.default)):
            continue
        if each.name.endswith("~more"):
            members |= value if isinstance(value, dict) else {}
        else:
            members[each.key] = value
    return members


class _NotReadable(Exception):
    """What was typed is not a value of its type."""


def _read(each: Field, typed: Texts, problems: dict[str, str]) -> Any:
    """Return the value of an input; `ABSENT` if the function's default applies."""
    if each.kind == "flag":
        return bool(typed.get(each.name))
    if each.kind == "group":
        if each.box and not typed.get(each.box):
            return None if each.nullable else ABSENT
        return _members(each.parts, typed, problems)
    text = first(typed, each.name)
    if text == normal(each.text):
        return [] if each.kind == "lines" and each.value is ABSENT and each.required else each.value
    if each.kind == "lines":
        items = [_scalar(line, each.type) for line in lines(typed, each.name)]
        return None if not items and each.nullable else items
    return _scalar(text, each.type) if text else _empty(each)


def _empty(each: Field) -> Any:
    """Return the value of an input that was emptied."""
    if each.nullable:
        return None
    is_text = each.type == "string" and each.kind in ("text", "multiline")
    return "" if is_text and not each.required else ABSENT


def _scalar(text: str, of: str) -> Any:
    """Return the value of a text.

    Raises:
        _NotReadable: it is not a value of this type.
    """
    if of in ("integer", "number"):
        try:
            return int(text) if of == "integer" else _number(text)
        except ValueError:
            kind = "a whole number" if of == "integer" else "a number"
            raise _NotReadable(f"Write {kind}.") from None
    if of not in ("any", "object", "array"):
        return text
    try:
        return payload.decode(text, max_depth=payload.MAX_DEPTH)
    except PayloadError as error:
        if _SECRET.fullmatch(text):
            return text
        raise _NotReadable(f"This is {error}. Write JSON; a text needs quotation marks.") from None


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        number = float(text)
        payload.encode(number)  # which refuses NaN and infinity
        return number


def _restored(value: Any, shown: Any, stored: Any) -> Any:
    """Return a value with everything that was not changed as it is stored."""
    if _same(value, shown):
        return stored
    if isinstance(value, dict) and isinstance(shown, dict) and isinstance(stored, dict):
        return {
            key: _restored(item, shown[key], stored[key]) if key in shown else item
            for key, item in value.items()
        }
    if isinstance(value, list) and isinstance(shown, list) and isinstance(stored, list):
        known = zip(value, shown, stored, strict=False)
        return [_restored(*three) for three in known] + value[len(shown) :]
    return value


def _marked(value: Any, stored: Any) -> Any:
    """Return a value with `secret` in place of ``secret("NAME")``, unless that text is stored."""
    if isinstance(value, str):
        match = _SECRET.fullmatch(value)
        return value if match is None or value == stored else _secret(match[1], value)
    if isinstance(value, dict):
        other = stored if isinstance(stored, dict) else {}
        return {key: _marked(item, other.get(key)) for key, item in value.items()}
    if isinstance(value, list):
        others = stored if isinstance(stored, list) else []
        pairs = zip_longest(value, others[: len(value)])
        return [_marked(item, other) for item, other in pairs]
    return value


def _secret(quoted: str, text: str) -> str:
    try:
        return secret(json.loads(quoted))
    except ValueError:  # a ConfigurationError is one
        return text


def _texts_in(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal and of the same types: 1 is neither true nor 1.0."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return payload.encode(one) == payload.encode(other)


def _problems(error: ArgumentsError, fields: Sequence[Field]) -> dict[str, str]:
    """Return what is wrong, by the name of the nearest input."""
    names = {each.name for each in every(fields)}
    problems: dict[str, str] = {}
    for position, message in error.problems or (((), str(error)),):
        name, at = ALL, 0
        for index, part in enumerate(position):
            longer = f"{name}/{str(part).replace('~', '~0').replace('/', '~1')}"
            if longer in names:
                name, at = longer, index + 1
        rest = [str(part + 1) if isinstance(part, int) else part for part in position[at:]]
        where = f"{'.'.join(rest)}: " if rest else ""
        text = f"{where}{message[:1].upper()}{message[1:]}"
        problems[name] = f"{problems[name]}; {text}" if name in problems else text
    return problems
