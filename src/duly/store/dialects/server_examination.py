"""Examinations that all database servers share."""

from __future__ import annotations

from sqlalchemy import Connection

from duly.model.finding import Finding


def isolation(conn: Connection) -> Finding:
    """Report whether the isolation level is the one that Duly's statements expect."""
    level = conn.get_isolation_level()
    if level == "READ COMMITTED":
        return Finding("isolation", "ok", "READ COMMITTED")
    advice = "Duly sets READ COMMITTED on each connection: find what changes it, such as a proxy"
    return Finding("isolation", "problem", level, advice)
