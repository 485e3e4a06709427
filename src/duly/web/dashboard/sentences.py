"""Events as sentences: who did what to which job, run, worker or queue."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any

from duly.model.event import Event

DULY = "Duly"
"""The actor of what happens by itself."""

SENTENCES: Mapping[str, str] = {
    "run.started": "{run} of {subject} started",
    "run.succeeded": "{run} of {subject} succeeded",
    "run.failed": "{run} of {subject} failed",
    "run.retried": "{actor} scheduled another attempt of {run} of {subject}",
    "run.snoozed": "{run} of {subject} asked to be executed later",
    "run.missed": "{subject} missed {count} of its times",
    "run.skipped": "{run} of {subject} was skipped",
    "run.cancelled": "{actor} cancelled {run} of {subject}",
    "run.discarded": "{actor} discarded {run} of {subject}",
    "run.late": "{subject} is late",
    "run.overrun": "{subject} takes longer than it should",
    "run.revived": "{actor} put {run} of {subject} back into its queue",
    "run.given_back": "{run} of {subject} was given back by its worker",
    "run.handed_off": "{run} of {subject} was handed to another executor",
    "run.cancel_requested": "{actor} asked {run} of {subject} to stop",
    "run.requested": "{actor} started {run} of {subject}",
    "run.rescheduled": "{actor} rescheduled {run} of {subject} to {due_at}",
    "run.late_completion": "{run} of {subject} ended after its worker had lost it",
    "job.added": "{actor} added {subject}",
    "job.changed": "{actor} changed {subject}",
    "job.removed": "{actor} removed {subject}",
    "job.paused": "{actor} paused {subject}",
    "job.resumed": "{actor} resumed {subject}",
    "job.finished": "{subject} has fired for the last time",
    "job.failing": "{subject} keeps failing",
    "job.recovered": "{subject} has recovered",
    "job.unresolved": "{subject} cannot run with the deployed code",
    "job.orphaned": "{subject} is no longer declared by {app}",
    "job.kept": "{actor} kept the stored definition of {subject}",
    "job.backfilled": "{actor} backfilled {subject} with {runs} runs",
    "jobs.paused": "{actor} paused {changed} jobs ({filter})",
    "jobs.resumed": "{actor} resumed {changed} jobs ({filter})",
    "jobs.removed": "{actor} removed {changed} jobs ({filter})",
    "runs.cancelled": "{actor} cancelled {changed} of {matched} runs ({filter})",
    "runs.retried": "{actor} retried {changed} of {matched} runs ({filter})",
    "runs.discarded": "{actor} discarded {changed} of {matched} runs ({filter})",
    "worker.started": "{worker} started",
    "worker.stopped": "{worker} stopped",
    "worker.lost": "{worker} was lost on {host} with {runs} runs, which other workers take over",
    "worker.fenced": "{worker} stopped its runs because it could not renew its lease",
    "worker.late": "The heartbeat of {worker} was {seconds} s late",
    "worker.clock_set": "The clock of {worker} was set by {seconds} s",
    "worker.draining": "{actor} asked {worker} to drain",
    "key.created": "{actor} created the key {name} with the role {role}",
    "key.revoked": "{actor} revoked the key {name}",
    "calendar.changed": "{actor} changed the calendar {calendar}",
    "calendar.removed": "{actor} removed the calendar {calendar}",
    "queue.paused": "{actor} paused the queue {queue}",
    "queue.resumed": "{actor} resumed the queue {queue}",
    "queue.changed": "{actor} set the limits of the queue {queue}",
    "limit.changed": "{actor} limited the concurrency key {key} to {max_running} runs at once",
    "limit.removed": "{actor} removed the limit of the concurrency key {key}",
    "scheduler.stopped": "{actor} switched the scheduler off",
    "scheduler.started": "{actor} switched the scheduler on again",
    "notice.sent": "A notice of the rule {rule} about {subject_of_notice} was sent",
    "notice.failed": "A notice of the rule {rule} about {subject_of_notice} could not be sent",
    "notice.dead": "A notice could not be sent and was given up",
    "notice.refused": "A notice of the rule {rule} was refused for good",
    "notice.retried": "{actor} sent a notice of the rule {rule} again",
    "notice.tested": "{actor} sent a test notice by the channel {channel}",
    "notice_rule.added": "{actor} added the notice rule {rule}",
    "notice_rule.removed": "{actor} removed the notice rule {rule}",
}
"""What happened, by the kind of event; names in braces are links or facts of the event."""

_IN_GENERAL = (
    (r"^\{actor\} ", ""),
    (r"\{run\} of \{subject\}", "a run"),
    (r"\{(subject|job)\}", "a job"),
    (r"\{worker\}", "a worker"),
    (r"\{changed\}( of \{matched\})?", "several"),
    (r" \(\{filter\}\)| about \{subject_of_notice\}", ""),
    (r" (?:on|with|by|to)(?: the role)? \{.*|, which .*", ""),
    (r"\bthe ((?:notice |concurrency )?\w+) \{\w+\}", r"a \1"),
    (r"\{count\} of its |\{seconds\} s (?=late)", ""),
)
"""What turns a sentence about one event into the words for its kind."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a sentence.

    Attributes:
        text: what it says.
        links: ``job``, ``run``, ``worker`` or ``actor`` if it refers to one.
        id: the id of that.
    """

    text: str
    links: str = ""
    id: str = ""


def title(kind: str) -> str:
    """Return what happens in all events of a kind: "Paused a job"."""
    text = SENTENCES.get(kind, kind)
    for pattern, words in _IN_GENERAL:
        text = re.sub(pattern, words, text)
    return text[:1].upper() + text[1:]


def sentence(event: Event) -> list[Part]:
    """Return what happened as the parts of a sentence, without a full stop."""
    template = SENTENCES.get(event.kind, "{actor}: " + event.kind)
    if event.kind == "job.changed" and event.detail.get("fields"):
        template = "{actor} changed {fields} of {subject}"
    parts: list[Part] = []
    for text, name, _format, _conversion in Formatter().parse(template):
        if text:
            parts.append(Part(text))
        if name:
            parts += _referred(event, name)
    first = parts[0]
    if first.links not in ("actor", "job"):
        parts[0] = replace(first, text=first.text[:1].upper() + first.text[1:])
    return parts


def why(event: Event) -> str:
    """Return the reason of an event: the user's, or else Duly's own; empty if there is none."""
    detail = event.detail
    reason = event.reason or detail.get("reason")
    error = detail.get("error")
    failure = f"{error}: {detail.get('message', '')}" if error else ""
    return str(reason or failure)


def facts(event: Event) -> dict[str, Any]:
    """Return the details of an event that its sentence does not tell."""
    return {name: value for name, value in event.detail.items() if name != "reason"}


def _referred(event: Event, name: str) -> list[Part]:
    match name:
        case "actor":
            return [Part(event.actor, "actor", event.actor) if event.actor else Part(DULY)]
        case "subject":
            return _subject(event)
        case "run" if event.run_id:
            return [Part("a run", "run", event.run_id)]
        case "worker" if event.worker_id:
            return [Part(f"worker {event.worker_id[-8:]}", "worker", event.worker_id)]
        case "run":
            return [Part("a run")]
        case "filter":
            return [Part(_filter(event.detail.get("filter") or {}))]
        case "subject_of_notice":
            return [Part(str(event.detail.get("subject", "?")))]
    return [Part(_text(event.detail.get(name, "?")))]


def _filter(conditions: Mapping[str, Any]) -> str:
    """Return the conditions of a filter in words: "tag team:platform, state failed"."""
    if "ids" in conditions:
        return "selected"
    words = [
        name if value is True else f"{name} {_text(value)}"
        for key, value in conditions.items()
        for name in [{"states": "state", "owners": "owner"}.get(key, key.replace("_", " "))]
    ]
    return ", ".join(words) or "all"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _subject(event: Event) -> list[Part]:
    if event.job_id is None:
        return [Part("an enqueued task")]
    link = "" if event.kind == "job.removed" else "job"
    return [Part("the job "), Part(event.job_id, link, event.job_id)]
