"""What is looked at on every database server, whichever it is."""

from __future__ import annotations

from sqlalchemy import Connection

from duly.model.finding import Finding


def isolation(conn: Connection) -> Finding:
    """Whether transactions see each other as Duly's statements expect."""
    level = conn.get_isolation_level()
    if level == "READ COMMITTED":
        return Finding("isolation", "ok", "READ COMMITTED")
    advice = "Duly asks each connection for READ COMMITTED: see what changes it (a proxy?)"
    return Finding("isolation", "problem", level, advice)
