# ruff: noqa: E501, PLR0915
"""Create the first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from duly.store.sql.columns import Id, Instant, Name, Serial

revision = "0001"


def upgrade() -> None:
    """Create all tables and indexes."""
    op.create_table(
        "duly_attempt",
        sa.Column("run_id", Id, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("worker_id", Id, nullable=True),
        sa.Column("started_at", Instant, nullable=True),
        sa.Column("finished_at", Instant, nullable=False),
        sa.Column("error_type", Name, nullable=False),
        sa.Column("error_message", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "attempt"),
    )
    op.create_table(
        "duly_calendar",
        sa.Column("name", Name, nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "duly_control",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "duly_decision_range",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("job_id", Name, nullable=False),
        sa.Column("job_uid", Id, nullable=False),
        sa.Column("first", Instant, nullable=False),
        sa.Column("last", Instant, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_at", Instant, nullable=False),
        sa.Column("superseded_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "duly_decision_range_job", "duly_decision_range", ["job_id", "last"], unique=False
    )
    op.create_table(
        "duly_declaration",
        sa.Column("app", Name, nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("job_id", Name, nullable=False),
        sa.PrimaryKeyConstraint("app", "version", "job_id"),
    )
    op.create_table(
        "duly_dependency",
        sa.Column("child_id", Name, nullable=False),
        sa.Column("parent_id", Name, nullable=False),
        sa.Column("outcome", sa.String(length=8), nullable=False),
        sa.Column("run_id", Id, nullable=True),
        sa.Column("fits", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("decided", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("child_id", "parent_id"),
    )
    op.create_index("duly_dependency_parent", "duly_dependency", ["parent_id"], unique=False)
    op.create_table(
        "duly_event",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("job_id", Name, nullable=True),
        sa.Column("run_id", Id, nullable=True),
        sa.Column("worker_id", Id, nullable=True),
        sa.Column("actor", Name, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("request_id", Name, nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "duly_event_actor",
        "duly_event",
        ["actor", "id"],
        unique=False,
        sqlite_where=sa.text("actor is not null"),
        postgresql_where=sa.text("actor is not null"),
    )
    op.create_index("duly_event_at", "duly_event", ["at"], unique=False)
    op.create_index("duly_event_job", "duly_event", ["job_id", "id"], unique=False)
    op.create_index(
        "duly_event_run",
        "duly_event",
        ["run_id", "id"],
        unique=False,
        sqlite_where=sa.text("run_id is not null"),
        postgresql_where=sa.text("run_id is not null"),
    )
    op.create_table(
        "duly_job",
        sa.Column("id", Name, nullable=False),
        sa.Column("uid", Id, nullable=False),
        sa.Column("app", Name, nullable=False),
        sa.Column("task", Name, nullable=False),
        sa.Column("args", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=True),
        sa.Column("queue", sa.String(length=64), nullable=False),
        sa.Column("owner", Name, nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("next_fire_at", Instant, nullable=True),
        sa.Column("last_nominal", Instant, nullable=True),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.Column("declared", sa.Text(), nullable=True),
        sa.Column("overridden", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("paused_by", Name, nullable=True),
        sa.Column("paused_reason", sa.Text(), nullable=True),
        sa.Column("paused_at", Instant, nullable=True),
        sa.Column("unresolved_reason", sa.Text(), nullable=True),
        sa.Column("consecutive_failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fired_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("feeds", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("watch_at", Instant, nullable=True),
        sa.Column("alarm", sa.String(length=64), nullable=True),
        sa.Column("watched_since", Instant, nullable=True),
        sa.Column("declared_version", Name, nullable=True),
        sa.Column("tzdb", sa.String(length=32), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
        sa.CheckConstraint(
            "state = 'active' or state = 'paused' or state = 'finished' or state = 'unresolved'",
            name="duly_job_state",
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "duly_job_due",
        "duly_job",
        ["next_fire_at"],
        unique=False,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index(
        "duly_job_declared",
        "duly_job",
        ["app", "id"],
        unique=False,
        sqlite_where=sa.text("origin = 'code'"),
        postgresql_where=sa.text("origin = 'code'"),
    )
    op.create_index(
        "duly_job_ended",
        "duly_job",
        ["updated_at"],
        unique=False,
        sqlite_where=sa.text("state = 'finished'"),
        postgresql_where=sa.text("state = 'finished'"),
    )
    op.create_index(
        "duly_job_alarmed",
        "duly_job",
        ["alarm"],
        unique=False,
        sqlite_where=sa.text("alarm is not null"),
        postgresql_where=sa.text("alarm is not null"),
    )
    op.create_index(
        "duly_job_failing",
        "duly_job",
        ["id"],
        unique=False,
        sqlite_where=sa.text("consecutive_failures > 0"),
        postgresql_where=sa.text("consecutive_failures > 0"),
    )
    op.create_index(
        "duly_job_unresolved",
        "duly_job",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'unresolved'"),
        postgresql_where=sa.text("state = 'unresolved'"),
    )
    op.create_index(
        "duly_job_owner",
        "duly_job",
        ["owner", "id"],
        unique=False,
        sqlite_where=sa.text("owner is not null"),
        postgresql_where=sa.text("owner is not null"),
    )
    op.create_index(
        "duly_job_paused",
        "duly_job",
        ["paused_at"],
        unique=False,
        sqlite_where=sa.text("state = 'paused'"),
        postgresql_where=sa.text("state = 'paused'"),
    )
    op.create_index(
        "duly_job_watched",
        "duly_job",
        ["watch_at"],
        unique=False,
        sqlite_where=sa.text("watch_at is not null"),
        postgresql_where=sa.text("watch_at is not null"),
    )
    op.create_table(
        "duly_job_tag",
        sa.Column("tag", Name, nullable=False),
        sa.Column("job_id", Name, nullable=False),
        sa.PrimaryKeyConstraint("tag", "job_id"),
    )
    op.create_index("duly_job_tag_job", "duly_job_tag", ["job_id"], unique=False)
    op.create_table(
        "duly_key",
        sa.Column("id", Id, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("owners", sa.Text(), nullable=True),
        sa.Column("rate", sa.Integer(), nullable=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("created_by", Name, nullable=True),
        sa.Column("expires_at", Instant, nullable=True),
        sa.Column("revoked_at", Instant, nullable=True),
        sa.Column("last_used_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("duly_key_digest", "duly_key", ["digest"], unique=True)
    op.create_table(
        "duly_limit",
        sa.Column("key", Name, nullable=False),
        sa.Column("max_running", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "duly_notice",
        sa.Column("id", Id, nullable=False),
        sa.Column("app", Name, nullable=False),
        sa.Column("rule", Name, nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("channel", Name, nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claim_id", Id, nullable=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("due_at", Instant, nullable=False),
        sa.Column("finished_at", Instant, nullable=True),
        sa.Column("keep_until", Instant, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state = 'pending' or state = 'sent' or state = 'dead'", name="duly_notice_state"
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "duly_notice_dead",
        "duly_notice",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'dead'"),
        postgresql_where=sa.text("state = 'dead'"),
    )
    op.create_index(
        "duly_notice_keep",
        "duly_notice",
        ["keep_until"],
        unique=False,
        sqlite_where=sa.text("keep_until is not null"),
        postgresql_where=sa.text("keep_until is not null"),
    )
    op.create_index(
        "duly_notice_pending",
        "duly_notice",
        ["channel", "due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "duly_notice_item",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("app", Name, nullable=False),
        sa.Column("rule", Name, nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "duly_notice_item_rule", "duly_notice_item", ["app", "rule", "id"], unique=False
    )
    op.create_table(
        "duly_notice_rule",
        sa.Column("app", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("created_by", Name, nullable=True),
        sa.Column("created_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("app", "name"),
    )
    op.create_table(
        "duly_notice_subject",
        sa.Column("app", Name, nullable=False),
        sa.Column("rule", Name, nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("sent_at", Instant, nullable=False),
        sa.Column("alarmed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("app", "rule", "subject"),
    )
    op.create_table(
        "duly_outcome_count",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("task", Name, nullable=False),
        sa.Column("queue", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=True),
        sa.Column("lateness", sa.SmallInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "duly_outcome_period",
        sa.Column("width", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("lateness", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("width", "start", "outcome", "lateness"),
    )
    op.create_table(
        "duly_queue",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("paused_by", Name, nullable=True),
        sa.Column("paused_reason", sa.Text(), nullable=True),
        sa.Column("paused_at", Instant, nullable=True),
        sa.Column("max_running", sa.Integer(), nullable=True),
        sa.Column("rate", sa.Integer(), nullable=True),
        sa.Column("rate_period", sa.Float(), nullable=True),
        sa.Column("allowance", sa.Float(), nullable=True),
        sa.Column("refilled_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "duly_run",
        sa.Column("id", Id, nullable=False),
        sa.Column("job_id", Name, nullable=True),
        sa.Column("job_uid", Id, nullable=True),
        sa.Column("task", Name, nullable=False),
        sa.Column("args", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=True),
        sa.Column("scheduled_for", Instant, nullable=True),
        sa.Column("due_at", Instant, nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("actor", Name, nullable=True),
        sa.Column("owner", Name, nullable=True),
        sa.Column("queue", sa.String(length=64), nullable=False),
        sa.Column("priority", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer(), server_default="1", nullable=False),
        sa.Column("crashes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("claim_id", Id, nullable=True),
        sa.Column("worker_id", Id, nullable=True),
        sa.Column("occupied", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("started_at", Instant, nullable=True),
        sa.Column("finished_at", Instant, nullable=True),
        sa.Column("expires_at", Instant, nullable=True),
        sa.Column("waits_for_slot", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("keep_until", Instant, nullable=True),
        sa.Column(
            "cancel_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error_type", Name, nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("progress_done", sa.BigInteger(), nullable=True),
        sa.Column("progress_total", sa.BigInteger(), nullable=True),
        sa.Column("progress_note", sa.String(length=200), nullable=True),
        sa.Column("counters", sa.Text(), nullable=True),
        sa.Column("concurrency_key", Name, nullable=True),
        sa.Column("unique_key", Name, nullable=True),
        sa.Column("unique_scope", sa.String(length=12), nullable=True),
        sa.Column("retaken_key", Name, nullable=True),
        sa.Column("parent_run_id", Id, nullable=True),
        sa.Column("cause_key", Name, nullable=True),
        sa.Column("feeds", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("quarantined", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("traceparent", sa.String(length=55), nullable=True),
        sa.CheckConstraint(
            "state = 'running' or state = 'succeeded' or state = 'ready' or state = 'scheduled' or state = 'failed' or state = 'cancelled' or state = 'discarded' or state = 'missed' or state = 'skipped'",
            name="duly_run_state",
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "duly_run_quarantined",
        "duly_run",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'ready' and quarantined = true"),
        postgresql_where=sa.text("state = 'ready' and quarantined = true"),
    )
    op.create_index(
        "duly_run_cause",
        "duly_run",
        ["cause_key"],
        unique=True,
        sqlite_where=sa.text("cause_key is not null"),
        postgresql_where=sa.text("cause_key is not null"),
    )
    op.create_index(
        "duly_run_children",
        "duly_run",
        ["parent_run_id"],
        unique=False,
        sqlite_where=sa.text("parent_run_id is not null"),
        postgresql_where=sa.text("parent_run_id is not null"),
    )
    op.create_index(
        "duly_run_expiring",
        "duly_run",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'ready' and expires_at is not null"),
        postgresql_where=sa.text("state = 'ready' and expires_at is not null"),
    )
    op.create_index(
        "duly_run_feeding",
        "duly_run",
        ["feeds", "id"],
        unique=False,
        sqlite_where=sa.text(
            "feeds = true and state <> 'running' and state <> 'ready' and state <> 'scheduled'"
        ),
        postgresql_where=sa.text(
            "feeds = true and state <> 'running' and state <> 'ready' and state <> 'scheduled'"
        ),
    )
    op.create_index(
        "duly_run_keep",
        "duly_run",
        ["keep_until"],
        unique=False,
        sqlite_where=sa.text("keep_until is not null"),
        postgresql_where=sa.text("keep_until is not null"),
    )
    op.create_index(
        "duly_run_limited",
        "duly_run",
        ["concurrency_key"],
        unique=False,
        sqlite_where=sa.text(
            "concurrency_key is not null and (occupied = true or occupied = false and state = 'running')"
        ),
        postgresql_where=sa.text(
            "concurrency_key is not null and (occupied = true or occupied = false and state = 'running')"
        ),
    )
    op.create_index(
        "duly_run_live",
        "duly_run",
        ["job_id", "waits_for_slot"],
        unique=False,
        sqlite_where=sa.text(
            "(occupied = true or occupied = false and (state = 'running' or state = 'ready' or state = 'scheduled'))"
        ),
        postgresql_where=sa.text(
            "(occupied = true or occupied = false and (state = 'running' or state = 'ready' or state = 'scheduled'))"
        ),
    )
    op.create_index(
        "duly_run_notable",
        "duly_run",
        ["state", "id"],
        unique=False,
        sqlite_where=sa.text(
            "(state = 'failed' or state = 'missed' or state = 'skipped' or state = 'cancelled' or state = 'discarded')"
        ),
        postgresql_where=sa.text(
            "(state = 'failed' or state = 'missed' or state = 'skipped' or state = 'cancelled' or state = 'discarded')"
        ),
    )
    op.create_index(
        "duly_run_owner",
        "duly_run",
        ["owner", "id"],
        unique=False,
        sqlite_where=sa.text("owner is not null"),
        postgresql_where=sa.text("owner is not null"),
    )
    op.create_index(
        "duly_run_occupied",
        "duly_run",
        ["worker_id"],
        unique=False,
        sqlite_where=sa.text("occupied = true"),
        postgresql_where=sa.text("occupied = true"),
    )
    op.create_index(
        "duly_run_nominal",
        "duly_run",
        ["scheduled_for", "job_uid"],
        unique=True,
        sqlite_where=sa.text("scheduled_for is not null"),
        postgresql_where=sa.text("scheduled_for is not null"),
    )
    op.create_index(
        "duly_run_of_job",
        "duly_run",
        ["job_id", "id"],
        unique=False,
        postgresql_where=sa.text("job_id is not null"),
    )
    op.create_index(
        "duly_run_ready",
        "duly_run",
        ["queue", "concurrency_key", "priority", "due_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'ready'"),
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "duly_run_running",
        "duly_run",
        ["worker_id"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "duly_run_scheduled",
        "duly_run",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'scheduled' and waits_for_slot = false and occupied = false"),
        postgresql_where=sa.text(
            "state = 'scheduled' and waits_for_slot = false and occupied = false"
        ),
    )
    op.create_index(
        "duly_run_unique_key",
        "duly_run",
        ["unique_key"],
        unique=True,
        sqlite_where=sa.text("unique_key is not null"),
        postgresql_where=sa.text("unique_key is not null"),
    )
    op.create_index(
        "duly_run_waiting",
        "duly_run",
        ["job_id", "job_uid", "priority", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'scheduled' and waits_for_slot = true"),
        postgresql_where=sa.text("state = 'scheduled' and waits_for_slot = true"),
    )
    op.create_table(
        "duly_run_log",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("run_id", Id, nullable=False),
        sa.Column("at", Instant, nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("logger", Name, nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("duly_run_log_run", "duly_run_log", ["run_id", "id"], unique=False)
    op.create_table(
        "duly_worker",
        sa.Column("id", Id, nullable=False),
        sa.Column("app", Name, nullable=False),
        sa.Column("host", Name, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("process", Name, nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("tzdb", sa.String(length=32), nullable=False),
        sa.Column("queues", sa.Text(), nullable=False),
        sa.Column("started_at", Instant, nullable=False),
        sa.Column("beat_at", Instant, nullable=False),
        sa.Column("lease_until", Instant, nullable=False),
        sa.Column("draining", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("drain_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("fires", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("app_version", sa.String(length=64), nullable=True),
        sa.Column("server", sa.String(length=64), nullable=True),
        sa.Column("suspected_at", Instant, nullable=True),
        sa.Column("suspected_beat", Instant, nullable=True),
        sa.Column("process_jobs", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "duly_claimer",
        sa.Column("worker_id", Id, nullable=False),
        sa.PrimaryKeyConstraint("worker_id"),
    )
    op.create_table(
        "duly_hand_off",
        sa.Column("run_id", Id, nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("executor", sa.String(length=64), nullable=False),
        sa.Column("queue", sa.String(length=64), nullable=False),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("send_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )
