"""Decide which of the events that a rule has matched are sent now, and which together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from duly.model.notice import SHOWN
from duly.model.notice_rule import ALARMS, RECOVERIES, NoticeRule
from duly.store.notices import Subject

TOGETHER = 100
"""From this number of waiting events on, a rule without a throttle tells them together too."""


class Item(NamedTuple):
    """An event that a rule has matched: its id in the database, and its kind."""

    id: int
    kind: str


@dataclass(slots=True)
class Routed:
    """What becomes of the waiting events of one subject.

    Attributes:
        notices: the items of each notice to be sent now, and the number of those left out.
        done: the ids of the items that wait no longer.
        subject: what has then been sent about the subject.
    """

    subject: Subject | None
    notices: list[tuple[list[int], int]] = field(default_factory=list)
    done: list[int] = field(default_factory=list)


def route(
    rule: NoticeRule, subject: Subject | None, items: Sequence[Item], now: datetime
) -> Routed:
    """Decide what a rule sends about one subject now.

    A recovery is sent at once if its alarm was sent, together with the events that wait. If the
    alarm itself still waits, both are sent together later; without an alarm, nothing is sent.

    Args:
        rule: the rule.
        subject: what it has sent about the subject; ``None``: nothing.
        items: what it has matched, oldest first.
        now: the current time.
    """
    routed = Routed(subject)
    quiet = rule.quiet is not None and rule.quiet.end_after(now) is not None
    throttled = _is_throttled(rule, subject, now)
    alarmed = subject is not None and subject.alarmed
    passed, waiting = list[Item](), list[Item]()
    for item in items:
        may_be_sent = not quiet or item.kind in rule.urgent
        if item.kind not in RECOVERIES:
            passes = may_be_sent and not throttled
            alarmed = alarmed or (passes and item.kind in ALARMS)
            (passed if passes else waiting).append(item)
        elif alarmed and may_be_sent:
            passed += [*waiting, item]  # the others would arrive after the recovery
            waiting, alarmed = [], False
        elif alarmed or any(other.kind in ALARMS for other in waiting):
            waiting.append(item)
        else:
            routed.done.append(item.id)
    if passed:
        passed.sort(key=lambda item: item.id)
        routed.notices = _notices(rule, passed)
        routed.done += [item.id for item in passed]
        routed.subject = Subject(_sent_at(subject, passed, now), alarmed)
    return routed


def _is_throttled(rule: NoticeRule, subject: Subject | None, now: datetime) -> bool:
    return subject is not None and now < subject.sent_at + timedelta(seconds=rule.every)


def _sent_at(subject: Subject | None, passed: Sequence[Item], now: datetime) -> datetime:
    """Return the begin of the throttle: a recovery alone does not begin another one."""
    if subject is not None and all(item.kind in RECOVERIES for item in passed):
        return subject.sent_at
    return now


def _notices(rule: NoticeRule, passed: Sequence[Item]) -> list[tuple[list[int], int]]:
    ids = [item.id for item in passed]
    if not rule.every and len(ids) < TOGETHER:
        return [([item_id], 0) for item_id in ids]
    left_out = max(0, len(ids) - SHOWN)
    # The first ones show how it began, and the last one what is true now.
    return [([*ids[: SHOWN - 1], *ids[SHOWN - 1 + left_out :]], left_out)]
