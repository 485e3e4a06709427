"""An audit log of every committed change of a run or a job, written by database triggers.

Duly does not know about the triggers, so the log does not depend on what Duly believes.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, Text, insert

from duly.store.sql.columns import Id, Instant, Name, Serial

metadata = MetaData()

run_change = Table(
    "chaos_run_change",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("run_id", Id, nullable=False),
    Column("job_id", Name),
    Column("old_state", String(12)),
    Column("state", String(12), nullable=False),
    Column("old_token", Integer),
    Column("token", Integer, nullable=False),
    Column("old_worker", Id),
    Column("worker", Id),
    Column("old_attempt", Integer),
    Column("attempt", Integer, nullable=False),
    Column("old_crashes", Integer),
    Column("crashes", Integer, nullable=False),
    Column("started_at", Instant),
    Column("result", Text),
    Column("error", Name),
)
cursor_change = Table(
    "chaos_cursor_change",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("job_id", Name, nullable=False),
    Column("old_next", Instant),
    Column("next", Instant),
    Column("old_nominal", Instant),
    Column("nominal", Instant),
)
worker_start = Table(
    "chaos_worker_start",
    metadata,
    Column("worker_id", Id, primary_key=True),
    Column("pid", Integer, nullable=False),
)
effect = Table(
    "chaos_effect",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("run_id", Id, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("token", Integer, nullable=False),
)
"""Written by functions on their own. It has no unique key, so that a duplicate is seen."""

booking = Table(
    "chaos_booking",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("run_id", Id, nullable=False),
    Column("token", Integer, nullable=False),
)
"""Written by transactional functions in their session. It has no unique key either."""

probe = Table("chaos_probe", metadata, Column("n", Integer, primary_key=True, autoincrement=False))
"""One row that the outage probe keeps changing."""

_FIELDS = {
    "state": "state", "token": "token", "worker": "worker_id", "attempt": "attempt",
    "crashes": "crashes",
}  # fmt: skip
_NOW = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')",
    "postgresql": "clock_timestamp()",
    "mysql": "utc_timestamp(6)",
}


def install(conn: Connection) -> None:
    """Create the tables and the triggers."""
    metadata.create_all(conn)
    conn.execute(insert(probe).values(n=0))
    for statement in _statements(conn.dialect.name):
        conn.exec_driver_sql(statement)


def _statements(dialect: str) -> Iterator[str]:
    fresh = {
        "at": _NOW[dialect], "run_id": "new.id", "job_id": "new.job_id",
        "started_at": "new.started_at", "result": "new.result", "error": "new.error_type",
        **{column: f"new.{field}" for column, field in _FIELDS.items()},
    }  # fmt: skip
    moved = fresh | {f"old_{column}": f"old.{field}" for column, field in _FIELDS.items()}
    turned = {
        "job_id": "new.id", "old_next": "old.next_fire_at", "next": "new.next_fire_at",
        "old_nominal": "old.last_nominal", "nominal": "new.last_nominal",
    }  # fmt: skip
    born = {"worker_id": "new.id", "pid": "new.pid"}
    equal = {"sqlite": "is", "postgresql": "is not distinct from", "mysql": "<=>"}[dialect]
    changes = [f"old.{field} {equal} new.{field}" for field in _FIELDS.values()]
    turns = [f"old.{field} {equal} new.{field}" for field in ("next_fire_at", "last_nominal")]
    for name, when, target, values, same in (
        ("inserted", "insert on duly_run", run_change, fresh, []),
        ("updated", "update on duly_run", run_change, moved, changes),
        ("advanced", "update on duly_job", cursor_change, turned, turns),
        ("started", "insert on duly_worker", worker_start, born, []),
    ):
        statement = (
            f"insert into {target.name} ({', '.join(_quoted(c, dialect) for c in values)})"
            f" values ({', '.join(values.values())})"
        )
        condition = f"not ({' and '.join(same)})" if same else ""
        yield from _trigger(dialect, f"chaos_{name}", when, statement, condition)


def _trigger(dialect: str, name: str, when: str, statement: str, condition: str) -> Iterator[str]:
    head = f"create trigger {name} after {when} for each row"
    if dialect == "mysql":
        body = f"if {condition} then {statement}; end if" if condition else statement
        yield f"{head} {body}"
    elif dialect == "sqlite":
        guard = f" when {condition}" if condition else ""
        yield f"{head}{guard} begin {statement}; end"
    else:
        guard = f" when ({condition})" if condition else ""
        yield (
            f"create function {name}() returns trigger language plpgsql as"
            f" $$ begin {statement}; return null; end $$"
        )
        yield f"{head}{guard} execute function {name}()"


def _quoted(column: str, dialect: str) -> str:
    return f"`{column}`" if dialect == "mysql" else f'"{column}"'
