"""Elements that a page contains many times, as functions: a macro takes much longer."""

from __future__ import annotations

import re
from functools import lru_cache

from markupsafe import Markup, escape

# After a separator between the parts of a name, but not inside an HTML entity.
_SEPARATOR = re.compile(r"([_./:-])(?=\w)")


@lru_cache(maxsize=256)
def icon(name: str) -> Markup:
    """Return an icon of ``icons.svg``, which says nothing to a screen reader."""
    return Markup(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="#i-{}"></use></svg>'
    ).format(name)


@lru_cache(maxsize=256)
def state(name: str) -> Markup:
    """Return the state of a job, a run or a queue, with its icon and its colour."""
    return Markup('<span class="state is-{0}">{1}{0}</span>').format(name, icon(name))


@lru_cache(maxsize=4096)
def breakable(name: str) -> Markup:
    """Return a name that may be broken after its separators in a narrow column."""
    return Markup(_SEPARATOR.sub(r"\1<wbr>", str(escape(name))))  # noqa: S704 - escaped just before


def name_link(path: str, name: str) -> Markup:
    """Return a link whose text is a name."""
    return Markup(  # noqa: S704 - both parts are escaped
        f'<a class="name" href="{escape(path)}">{breakable(name)}</a>'
    )
