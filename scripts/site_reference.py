"""A griffe extension: a method made from an operation is documented as that operation.

``pause = _call(op.jobs.pause.pause)`` is an attribute to a reader of the source alone. Here it
becomes a method with the operation's signature, without the core, and its docstring.
"""

from __future__ import annotations

from typing import Any

import griffe

MAKERS = ("_call", "_awaitable", "_awaitable_step", "_awaitable_stop", "_awaitable_wait")


class Operations(griffe.Extension):  # type: ignore[misc]
    """Turns the tables of `Scheduler` and `Aio` into methods."""

    def on_package(self, *, pkg: griffe.Module, **_others: Any) -> None:
        """Replace the attributes of the scheduler's classes."""
        for name in ("Scheduler", "Aio"):
            if name in pkg["scheduler"].members:
                _expand(pkg["scheduler"][name], pkg)


def _expand(table: griffe.Class, pkg: griffe.Module) -> None:
    for name, member in list(table.members.items()):
        value = str(getattr(member, "value", ""))
        maker, _, rest = value.partition("(")
        if not member.is_attribute or maker not in MAKERS:
            continue
        first = rest.partition(",")[0].rstrip(")")
        operation = pkg[first.replace("op.", "operations.", 1)]
        method = griffe.Function(
            name,
            lineno=member.lineno,
            endlineno=member.endlineno,
            parameters=griffe.Parameters(*list(operation.parameters)[1:]),
            returns=operation.returns,
            docstring=operation.docstring,
            parent=table,
        )
        method.labels |= {"async"} if maker != "_call" else set()
        table.set_member(name, method)
