"""Examine a PostgreSQL server, and find what keeps it from removing dead rows."""

from __future__ import annotations

from sqlalchemy import Connection, text

from duly.model.finding import Finding
from duly.store.dialects.server_examination import isolation

OLDEST = (12,)
LONG_S = 300.0
"""Seconds after which an open transaction is reported, because it slows claims down."""

MANY_XIDS = 1_000_000
"""The number of transactions by which a replication slot may lag before it is reported."""

_SETTINGS = text(
    "select name, setting from pg_settings where name in ('autovacuum', 'fsync',"
    " 'synchronous_commit', 'full_page_writes', 'server_version')"
)
_NO_AUTOVACUUM = text(
    "select relname from pg_class where relname like 'duly\\_%' and pg_table_is_visible(oid)"
    " and 'autovacuum_enabled=false' = any (reloptions) order by relname"
)
_HOLDERS = text(
    "select 'session ' || pid || coalesce(' (' || nullif(application_name, '') || ')', '') as who,"
    " extract(epoch from clock_timestamp() - xact_start)::float8 as seconds,"
    " greatest(age(backend_xmin), age(backend_xid)) as xids"
    " from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    " and datname = current_database() and (backend_xmin is not null or backend_xid is not null)"
    " union all select 'prepared transaction ' || gid,"
    " extract(epoch from clock_timestamp() - prepared)::float8, age(transaction)"
    " from pg_prepared_xacts where database = current_database()"
    " union all select 'replication slot ' || slot_name, null, age(xmin)"
    " from pg_replication_slots where xmin is not null"
    " order by seconds desc nulls last, xids desc"
)


def examine(conn: Connection, processes: int) -> list[Finding]:
    """See `StoreDialect.examine`."""
    settings = {row.name: row.setting for row in conn.execute(_SETTINGS)}
    return [
        _version(conn, settings["server_version"]),
        isolation(conn),
        _autovacuum(settings["autovacuum"], list(conn.execute(_NO_AUTOVACUUM).scalars())),
        durability(settings),
        _snapshots(conn),
    ]


def _version(conn: Connection, shown: str) -> Finding:
    if (conn.dialect.server_version_info or OLDEST) >= OLDEST:
        return Finding("database", "ok", f"PostgreSQL {shown}")
    return Finding(
        "database", "problem", f"PostgreSQL {shown}", "Duly needs PostgreSQL 12 or later"
    )


def _autovacuum(setting: str, without: list[str]) -> Finding:
    advice = "switch it on: each run is updated several times, and dead rows slow claims down"
    if setting != "on":
        return Finding("autovacuum", "warning", "it is off for the whole server", advice)
    if without:
        return Finding("autovacuum", "warning", f"it is off for {', '.join(without)}", advice)
    return Finding("autovacuum", "ok", "on")


def durability(settings: dict[str, str]) -> Finding:
    """Report whether acknowledged commits survive a crash of the server's machine."""
    names = ("fsync", "full_page_writes", "synchronous_commit")
    off = [name for name in names if settings[name] == "off"]
    if not off:
        return Finding("durability", "ok", "acknowledged commits survive a crash")
    advice = "switch them on; Duly's promises hold for commits that the database keeps"
    text = f"{', '.join(off)}: off; acknowledged commits may be lost in a crash"
    return Finding("durability", "warning", text, advice)


def _snapshots(conn: Connection) -> Finding:
    holders = conn.execute(_HOLDERS).all()
    old = [
        f"{row.who} for {row.seconds:.0f} s" if row.seconds is not None else row.who
        for row in holders
        if (row.xids >= MANY_XIDS if row.seconds is None else row.seconds >= LONG_S)
    ]
    if not old:
        oldest = max((row.seconds for row in holders if row.seconds is not None), default=0.0)
        return Finding("oldest snapshot", "ok", f"{oldest:.0f} s")
    return Finding(
        "oldest snapshot",
        "warning",
        f"old snapshots keep dead rows from being removed: {', '.join(old[:3])}",
        "end forgotten ones (pg_terminate_backend, ROLLBACK PREPARED, pg_drop_replication_slot)",
    )
