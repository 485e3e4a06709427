"""Duly's tables. Migrations create them; a test compares the two."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TextClause,
    text,
)

from duly.model.run import MOVES, RUN_STATES
from duly.store.sql.columns import Id, Instant, Name, Serial

metadata = MetaData()


def _state_is(states: Iterable[str]) -> str:
    return " or ".join(f"state = '{state}'" for state in states)


_COMMON = ("running", "succeeded", "ready", "scheduled")
"""The states that runs have most, which a check compares first."""
NOTABLE_STATES = [state for state in RUN_STATES if state not in _COMMON]

# The conditions are literals: a partial index serves only a query that repeats its condition word
# for word. On MariaDB they select ranges of full indexes (dialects/mariadb_ddl.py), which requires
# "column = value" everywhere, and both sides of an "or" in the same index. Every written row is
# checked against all of them, and SQLite builds a table for each "state in (…)", which took 40 % of
# an insert.
ACTIVE = text("state = 'active'")
FAILING = text("consecutive_failures > 0")
UNRESOLVED = text("state = 'unresolved'")
PAUSED = text("state = 'paused'")
ENDED = text("state = 'finished'")
DECLARED = text("origin = 'code'")
READY = text("state = 'ready'")
SCHEDULED = text("state = 'scheduled' and waits_for_slot = false and occupied = false")
WAITING = text("state = 'scheduled' and waits_for_slot = true")
QUARANTINED = text("state = 'ready' and quarantined = true")
EXPIRING = text("state = 'ready' and expires_at is not null")
RUNNING = text("state = 'running'")
HOLDS_KEY = text("unique_key is not null")
FINISHED = text("keep_until is not null")
# Revivable states first, because the migrations have created the index with this text.
NOTABLE = text(f"({_state_is(sorted(NOTABLE_STATES, key=lambda state: not MOVES[state]))})")
LIVE = text(
    "(occupied = true or occupied = false and"
    " (state = 'running' or state = 'ready' or state = 'scheduled'))"
)
WATCHED = text("watch_at is not null")
ALARMED = text("alarm is not null")
LIMITED = text(
    "concurrency_key is not null and (occupied = true or occupied = false and state = 'running')"
)
OCCUPIED = text("occupied = true")
FEEDING = text("feeds = true and state <> 'running' and state <> 'ready' and state <> 'scheduled'")
HOLDS_CAUSE = text("cause_key is not null")
HOLDS_PARENT = text("parent_run_id is not null")
NOMINAL = text("scheduled_for is not null")
PENDING = text("state = 'pending'")
DEAD = text("state = 'dead'")
OF_JOB = text("job_id is not null")
OF_RUN = text("run_id is not null")
BY_ACTOR = text("actor is not null")
OWNED = text("owner is not null")


def _partial(name: str, *columns: str, where: TextClause, unique: bool = False) -> Index:
    """Return an index of the rows that meet a condition."""
    conditions = {"sqlite_where": where, "postgresql_where": where}
    return Index(name, *columns, unique=unique, info=conditions)


job = Table(
    "duly_job",
    metadata,
    Column("id", Name, primary_key=True),
    Column("uid", Id, nullable=False),
    Column("app", Name, nullable=False),
    Column("task", Name, nullable=False),
    Column("args", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("options", Text),
    Column("queue", String(64), nullable=False),
    Column("owner", Name),
    Column("state", String(12), nullable=False),
    Column("next_fire_at", Instant),
    Column("last_nominal", Instant),
    Column("origin", String(8), nullable=False),
    Column("declared", Text),
    Column("overridden", Text),
    Column("revision", Integer, nullable=False),
    Column("paused_by", Name),
    Column("paused_reason", Text),
    Column("paused_at", Instant),
    Column("unresolved_reason", Text),
    Column("consecutive_failures", Integer, nullable=False, server_default="0"),
    Column("fired_count", BigInteger, nullable=False, server_default="0"),
    Column("feeds", Boolean, nullable=False, server_default=text("false")),
    Column("watch_at", Instant),
    Column("alarm", String(64)),
    Column("watched_since", Instant),
    Column("declared_version", Name),
    Column("tzdb", String(32), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    CheckConstraint(
        "state = 'active' or state = 'paused' or state = 'finished' or state = 'unresolved'",
        name="duly_job_state",
    ),
    _partial("duly_job_due", "next_fire_at", where=ACTIVE),
    _partial("duly_job_watched", "watch_at", where=WATCHED),
    _partial("duly_job_alarmed", "alarm", where=ALARMED),
    _partial("duly_job_failing", "id", where=FAILING),
    _partial("duly_job_unresolved", "id", where=UNRESOLVED),
    _partial("duly_job_paused", "paused_at", where=PAUSED),
    _partial("duly_job_ended", "updated_at", where=ENDED),
    _partial("duly_job_declared", "app", "id", where=DECLARED),
    _partial("duly_job_owner", "owner", "id", where=OWNED),
)

job_tag = Table(
    "duly_job_tag",
    metadata,
    Column("tag", Name, primary_key=True),
    Column("job_id", Name, primary_key=True),
    Index("duly_job_tag_job", "job_id"),
)

dependency = Table(
    "duly_dependency",
    metadata,
    Column("child_id", Name, primary_key=True),
    Column("parent_id", Name, primary_key=True),
    Column("outcome", String(8), nullable=False),
    Column("run_id", Id),
    Column("fits", Boolean, nullable=False, server_default=text("false")),
    Column("decided", Boolean, nullable=False, server_default=text("false")),
    Index("duly_dependency_parent", "parent_id"),
)

declaration = Table(
    "duly_declaration",
    metadata,
    Column("app", Name, primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("job_id", Name, primary_key=True),
)

run = Table(
    "duly_run",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Name),
    Column("job_uid", Id),
    Column("task", Name, nullable=False),
    Column("args", Text, nullable=False),
    Column("policy", Text),
    Column("scheduled_for", Instant),
    Column("due_at", Instant, nullable=False),
    Column("cause", String(16), nullable=False),
    Column("actor", Name),
    Column("owner", Name),
    Column("queue", String(64), nullable=False),
    Column("priority", SmallInteger, nullable=False, server_default="0"),
    Column("state", String(12), nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False, server_default="1"),
    Column("crashes", Integer, nullable=False, server_default="0"),
    Column("token", BigInteger, nullable=False, server_default="0"),
    Column("claim_id", Id),
    Column("worker_id", Id),
    Column("occupied", Boolean, nullable=False, server_default=text("false")),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("expires_at", Instant),
    Column("waits_for_slot", Boolean, nullable=False, server_default=text("false")),
    Column("keep_until", Instant),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("reason", Text),
    Column("result", Text),
    Column("error_type", Name),
    Column("error_message", Text),
    Column("progress_done", BigInteger),
    Column("progress_total", BigInteger),
    Column("progress_note", String(200)),
    Column("counters", Text),
    Column("concurrency_key", Name),
    Column("unique_key", Name),
    Column("unique_scope", String(12)),
    Column("retaken_key", Name),
    Column("parent_run_id", Id),
    Column("cause_key", Name),
    Column("feeds", Boolean, nullable=False, server_default=text("false")),
    Column("quarantined", Boolean, nullable=False, server_default=text("false")),
    Column("traceparent", String(55)),
    CheckConstraint(_state_is((*_COMMON, *NOTABLE_STATES)), name="duly_run_state"),
    _partial("duly_run_nominal", "scheduled_for", "job_uid", unique=True, where=NOMINAL),
    _partial("duly_run_ready", "queue", "concurrency_key", "priority", "due_at", "id", where=READY),
    _partial("duly_run_quarantined", "due_at", where=QUARANTINED),
    _partial("duly_run_scheduled", "due_at", where=SCHEDULED),
    _partial("duly_run_waiting", "job_id", "job_uid", "priority", "id", where=WAITING),
    _partial("duly_run_expiring", "expires_at", where=EXPIRING),
    _partial("duly_run_running", "worker_id", where=RUNNING),
    _partial("duly_run_live", "job_id", "waits_for_slot", where=LIVE),
    _partial("duly_run_unique_key", "unique_key", unique=True, where=HOLDS_KEY),
    _partial("duly_run_cause", "cause_key", unique=True, where=HOLDS_CAUSE),
    _partial("duly_run_children", "parent_run_id", where=HOLDS_PARENT),
    _partial("duly_run_feeding", "feeds", "id", where=FEEDING),
    _partial("duly_run_limited", "concurrency_key", where=LIMITED),
    _partial("duly_run_occupied", "worker_id", where=OCCUPIED),
    # Partial on PostgreSQL only: SQLite would prefer a partial one to better indexes.
    Index("duly_run_of_job", "job_id", "id", info={"postgresql_where": OF_JOB}),
    _partial("duly_run_keep", "keep_until", where=FINISHED),
    _partial("duly_run_notable", "state", "id", where=NOTABLE),
    _partial("duly_run_owner", "owner", "id", where=OWNED),
)  # fmt: skip

attempt = Table(
    "duly_attempt",
    metadata,
    Column("run_id", Id, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("worker_id", Id),
    Column("started_at", Instant),
    Column("finished_at", Instant, nullable=False),
    Column("error_type", Name, nullable=False),
    Column("error_message", Text, nullable=False),
    Column("traceback", Text),
)

run_log = Table(
    "duly_run_log",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("run_id", Id, nullable=False),
    Column("at", Instant, nullable=False),
    Column("level", String(16), nullable=False),
    Column("logger", Name, nullable=False),
    Column("message", Text, nullable=False),
    Index("duly_run_log_run", "run_id", "id"),
)

worker = Table(
    "duly_worker",
    metadata,
    Column("id", Id, primary_key=True),
    Column("app", Name, nullable=False),
    Column("host", Name, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process", Name, nullable=False),
    Column("version", String(32), nullable=False),
    Column("tzdb", String(32), nullable=False),
    Column("queues", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("beat_at", Instant, nullable=False),
    Column("lease_until", Instant, nullable=False),
    Column("draining", Boolean, nullable=False, server_default=text("false")),
    Column("drain_requested", Boolean, nullable=False, server_default=text("false")),
    Column("fires", Boolean, nullable=False, server_default=text("true")),
    Column("app_version", String(64)),
    Column("server", String(64)),
    Column("suspected_at", Instant),
    Column("suspected_beat", Instant),
    Column("process_jobs", Text),
)

claimer = Table(
    "duly_claimer",
    metadata,
    Column("worker_id", Id, primary_key=True),
)

hand_off = Table(
    "duly_hand_off",
    metadata,
    Column("run_id", Id, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("executor", String(64), nullable=False),
    Column("queue", String(64), nullable=False),
    Column("sends", Integer, nullable=False),
    Column("send_at", Instant, nullable=False),
)

event = Table(
    "duly_event",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("job_id", Name),
    Column("run_id", Id),
    Column("worker_id", Id),
    Column("actor", Name),
    Column("reason", Text),
    Column("request_id", Name),
    Column("detail", Text),
    Index("duly_event_job", "job_id", "id"),
    Index("duly_event_at", "at"),
    _partial("duly_event_run", "run_id", "id", where=OF_RUN),
    _partial("duly_event_actor", "actor", "id", where=BY_ACTOR),
    info={"sqlite_autoincrement": True},
)

decision_range = Table(
    "duly_decision_range",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("job_id", Name, nullable=False),
    Column("job_uid", Id, nullable=False),
    Column("first", Instant, nullable=False),
    Column("last", Instant, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("superseded_at", Instant),
    Index("duly_decision_range_job", "job_id", "last"),
)

outcome_count = Table(
    "duly_outcome_count",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("task", Name, nullable=False),
    Column("queue", String(64), nullable=False),
    Column("outcome", String(12), nullable=False),
    Column("minute", BigInteger),
    Column("lateness", SmallInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
)

outcome_period = Table(
    "duly_outcome_period",
    metadata,
    Column("width", Integer, primary_key=True, autoincrement=False),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("outcome", String(12), primary_key=True),
    Column("lateness", SmallInteger, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
)

calendar = Table(
    "duly_calendar",
    metadata,
    Column("name", Name, primary_key=True),
    Column("definition", Text, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

notice = Table(
    "duly_notice",
    metadata,
    Column("id", Id, primary_key=True),
    Column("app", Name, nullable=False),
    Column("rule", Name, nullable=False),
    Column("subject", String(255), nullable=False),
    Column("title", Text, nullable=False),
    Column("channel", Name, nullable=False),
    Column("address", Text),
    Column("content", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("claim_id", Id),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("keep_until", Instant),
    Column("error", Text),
    CheckConstraint(
        "state = 'pending' or state = 'sent' or state = 'dead'", name="duly_notice_state"
    ),
    _partial("duly_notice_pending", "channel", "due_at", where=PENDING),
    _partial("duly_notice_dead", "id", where=DEAD),
    _partial("duly_notice_keep", "keep_until", where=FINISHED),
)

notice_item = Table(
    "duly_notice_item",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("app", Name, nullable=False),
    Column("rule", Name, nullable=False),
    Column("subject", String(255), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("at", Instant, nullable=False),
    Column("content", Text, nullable=False),
    Index("duly_notice_item_rule", "app", "rule", "id"),
)

notice_rule = Table(
    "duly_notice_rule",
    metadata,
    Column("app", Name, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("definition", Text, nullable=False),
    Column("version", String(64), nullable=False),
    Column("created_by", Name),
    Column("created_at", Instant, nullable=False),
)

notice_subject = Table(
    "duly_notice_subject",
    metadata,
    Column("app", Name, primary_key=True),
    Column("rule", Name, primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("sent_at", Instant, nullable=False),
    Column("alarmed", Boolean, nullable=False),
)

key = Table(
    "duly_key",
    metadata,
    Column("id", Id, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("name", Name, nullable=False),
    Column("role", String(8), nullable=False),
    Column("owners", Text),
    Column("rate", Integer),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Name),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("last_used_at", Instant),
    Index("duly_key_digest", "digest", unique=True),
)

control = Table(
    "duly_control",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

queue = Table(
    "duly_queue",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("paused_by", Name),
    Column("paused_reason", Text),
    Column("paused_at", Instant),
    Column("max_running", Integer),
    Column("rate", Integer),
    Column("rate_period", Float),
    Column("allowance", Float),
    Column("refilled_at", Instant),
)

limit = Table(
    "duly_limit",
    metadata,
    Column("key", Name, primary_key=True),
    Column("max_running", Integer),
)


def complete() -> MetaData:
    """Return the tables with their dialect-specific options, which are needed to create them.

    Until then the options are kept in ``info``, because SQLAlchemy loads every dialect that an
    option names, which takes 40 ms.
    """
    for table in metadata.tables.values():
        table.dialect_kwargs.update(table.info)
        for index in table.indexes:
            index.dialect_kwargs.update(index.info)
    return metadata
