"""The one name of an SQLite file, however a URL spells it.

Workers prove their life by files that lie beside the database, and SQLite keeps its log there, too.
So the file must have one name in all processes, and keep it when the process changes its folder.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote
from urllib.request import url2pathname

from sqlalchemy import URL
from sqlalchemy.util import asbool

from duly.errors import DatabaseURLError

_OF_DRIVER = frozenset({
    "uri", "timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements",
})  # fmt: skip
"""Query parameters of a URL that are for the driver; with ``uri=true`` SQLite gets the others."""

_REFUSED = {
    ("mode", "ro"): "opens the file for reading only, but a scheduler writes to it",
    ("immutable", "1"): "ignores the changes of other processes",
    ("nolock", "1"): "locks nothing, so that two processes would damage the file",
    ("vfs", "unix-none"): "locks nothing, so that two processes would damage the file",
}


def is_in_memory(url: URL) -> bool:
    """Return whether an SQLite URL denotes a database in memory or a temporary one."""
    name, query = url.database or "", url.query
    return (
        not name.removeprefix("file:").strip("/")
        or ":memory:" in name
        or query.get("mode") == "memory"
        or query.get("vfs") == "memdb"
    )


def with_resolved_file(url: URL) -> URL:
    """Return the URL with the absolute path of its file, with all symbolic links followed.

    Args:
        url: an SQLite URL; its file need not exist.

    Raises:
        DatabaseURLError: a parameter for SQLite makes the file unusable for a scheduler.
    """
    _check_parameters(url)
    path = str(file_of(url).resolve())
    if not _is_uri(url) or not (url.database or "").startswith("file:"):
        return url.set(database=path)
    if set(url.query) - _OF_DRIVER:
        return url.set(database=f"file:{quote(path)}")
    return url.set(database=path).difference_update_query(["uri"])


def file_of(url: URL) -> Path:
    """Return the path of the file that an SQLite URL denotes."""
    name = url.database or ""
    if not _is_uri(url) or not name.startswith("file:"):
        return Path(name)
    rest = name.removeprefix("file:").partition("#")[0]
    if rest.startswith("//"):  # an authority, which is empty or "localhost"
        rest = "/" + rest.removeprefix("//").partition("/")[2]
    return Path(url2pathname(rest))


def _is_uri(url: URL) -> bool:
    """Return whether SQLAlchemy passes the name to SQLite as a ``file:`` URI."""
    return asbool(url.query.get("uri", False))


def _check_parameters(url: URL) -> None:
    for (name, value), problem in _REFUSED.items():
        if _is_uri(url) and url.query.get(name) == value:
            raise DatabaseURLError(
                f"{url.render_as_string()!r}: {name}={value} {problem}; leave it out"
            )
