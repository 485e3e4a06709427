"""The actor of a change: who makes it, why, and in which request."""

from __future__ import annotations

from dataclasses import dataclass

from duly.model.text import one_line, storable_text

MAX_NAME = 191
"""The maximum number of characters of an actor's name and of a request's id."""

MAX_REASON = 4_000
"""The maximum number of characters of a stored reason."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, and why, for the audit trail; every call that changes something takes it.

    ``actor="ana"`` is short for ``actor=Actor("ana")``.

    Args:
        name: the user or the program: a name, not an id of a session or a key. Characters that are
            not printable are escaped; more than 191 are cut off.
        reason: why; cut in the middle to 4,000 characters. A call's own ``reason=`` takes
            precedence.
        request_id: the id of the request that made the change, by which its log lines can be
            found; at most 191 characters, as the name.
    """

    name: str
    reason: str | None = None
    request_id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", one_line(str(self.name), MAX_NAME))
        object.__setattr__(self, "reason", storable_reason(self.reason))
        if self.request_id is not None:
            object.__setattr__(self, "request_id", one_line(str(self.request_id), MAX_NAME))

    @staticmethod
    def of(given: str | Actor | None) -> Actor | None:
        """Return the actor that a caller gave by name or as an `Actor`."""
        return given if given is None or isinstance(given, Actor) else Actor(given)


def storable_reason(reason: str | None) -> str | None:
    """Return a reason in storable form: shortened, and with unstorable characters replaced."""
    return None if reason is None else storable_text(str(reason), MAX_REASON)
