"""Match events with rules, and store what they match in the events' own transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from duly.model.event import Event
from duly.model.notice import Happening
from duly.model.notice_rule import EVENTS, GREW, NoticeRule
from duly.model.redaction import redact
from duly.model.text import storable_text
from duly.store import notices
from duly.store.transaction import Transaction

MAX_DETAIL = 500
"""Characters of each text in the details of an event that a notice tells."""

WORKERS, SCHEDULER, DEAD_LETTERS = "workers", "scheduler", "dead letters"


def store_matches(tx: Transaction, events: Sequence[Event], rules: Sequence[NoticeRule]) -> None:
    """Store the events that rules want, for each rule that wants them.

    Args:
        tx: the transaction that records the events.
        events: events of any kind.
        rules: all rules.
    """
    wanted = [(rule, event) for rule in rules for event in events if _kinds(rule, event.kind)]
    if not wanted:
        return
    facts = _Facts(tx, [event for _rule, event in wanted], any(rule.tags for rule, _ in wanted))
    items = []
    for rule, event in wanted:
        happening = facts.happening(event)
        if _fits(rule, happening, facts.tags.get(happening.job or "", ())):
            for kind in _kinds(rule, event.kind):
                named = replace(happening, kind=kind)
                items.append(((rule.app, rule.name), _subject(named), named))
    notices.add_items(tx, items)


def concerns(events: Sequence[Event]) -> bool:
    """Return whether any rule could want one of these events."""
    return any(event.kind in EVENTS for event in events)


class _Facts:
    """What is known of the jobs and runs of events, read with few queries."""

    def __init__(self, tx: Transaction, events: Sequence[Event], with_tags: bool) -> None:
        run_ids = {event.run_id for event in events if event.run_id is not None}
        job_ids = {event.job_id for event in events if event.job_id is not None}
        of_job_alone = {
            event.job_id for event in events if event.job_id is not None and event.run_id is None
        }
        self._runs = notices.run_facts(tx.conn, run_ids)
        self._jobs = notices.job_facts(tx.conn, of_job_alone)
        self.tags: Mapping[str, Collection[str]] = (
            notices.job_tags(tx.conn, job_ids) if with_tags else {}
        )

    def happening(self, event: Event) -> Happening:
        """Return an event as a notice tells it."""
        known: Mapping[str, Any] = self._runs.get(event.run_id or "") or self._jobs.get(
            event.job_id or "", {}
        )
        detail = {key: _short(value) for key, value in redact(event.detail).items()}
        return Happening(
            event.kind, event.at, event.job_id, event.run_id, event.worker_id,
            **known, actor=event.actor, detail=detail or None,
        )  # fmt: skip


def _kinds(rule: NoticeRule, kind: str) -> list[str]:
    """Return the names under which a rule wants a kind of event; a failed run has two."""
    names = (kind, GREW) if kind == "run.failed" else (kind,)
    return [name for name in names if name in rule.on]


def _fits(rule: NoticeRule, happening: Happening, tags: Collection[str]) -> bool:
    conditions = (
        (rule.jobs, happening.job),
        (rule.tasks, happening.task),
        (rule.queues, happening.queue),
        (rule.owners, happening.owner),
    )
    one_of = all(not allowed or value in allowed for allowed, value in conditions)
    return one_of and (not rule.tags or not set(rule.tags).isdisjoint(tags))


def _subject(happening: Happening) -> str:
    if happening.kind == GREW:
        return DEAD_LETTERS
    if happening.job is not None:
        return f"job:{happening.job}"
    if happening.task is not None:
        return f"task:{happening.task}"
    return WORKERS if happening.worker is not None else SCHEDULER


def _short(value: Any) -> Any:
    return storable_text(value, MAX_DETAIL) if isinstance(value, str) else value
