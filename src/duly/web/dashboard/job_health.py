"""Whether a job is healthy, in a few words: the first thing that its page tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from duly.model.job import JobRecord
from duly.model.run import RunRecord
from duly.operations.status import Status
from duly.web.dashboard import formatting
from duly.web.dashboard.stranded import stranded

LATE_AFTER = timedelta(seconds=5)
_BAD = frozenset({"failed", "discarded", "missed"})


@dataclass(frozen=True, slots=True)
class JobHealth:
    """Whether a job is healthy.

    Attributes:
        state: the state that gives the colour and the symbol.
        word: the answer in a word or two.
        text: the reason, as a sentence.
    """

    state: str
    word: str
    text: str


def health_of(job: JobRecord, runs: Sequence[RunRecord], status: Status) -> JobHealth:
    """Return whether a job is healthy, with the worst problem that it has.

    Args:
        job: the job.
        runs: its last runs, newest first.
        status: the status of the scheduler.
    """
    return _problem(job, runs, status) or _state_of(job, runs)


def _problem(job: JobRecord, runs: Sequence[RunRecord], status: Status) -> JobHealth | None:
    if job.state == "unresolved":
        return JobHealth("unresolved", "Cannot run", "It cannot run with the deployed code.")
    waiting = stranded(runs, status)
    if waiting is not None:
        ago = formatting.span(status.at - waiting.run.due_at)
        text = f"A run was due {ago} ago; no worker serves its queue {waiting.queue}."
        return JobHealth("late", "Waiting", text)
    if job.consecutive_failures:
        text = formatting.failures(job.consecutive_failures).capitalize()
        return JobHealth("failed", "Failing", f"{text}.")
    if job.state == "active" and job.next_fire_at is not None:
        late = status.at - job.next_fire_at
        if late > LATE_AFTER:
            return JobHealth("late", "Late", f"It should have fired {formatting.span(late)} ago.")
    if job.state == "paused":
        return None
    queue = next((queue for queue in status.queues if queue.name == job.queue), None)
    if queue is not None and queue.paused:
        return JobHealth("paused", "Queue paused", f"Its runs wait: queue {job.queue} is paused.")
    ended = [run for run in runs if run.is_terminal]
    if ended and ended[0].state in {"missed", "failed"}:
        return JobHealth(ended[0].state, ended[0].state.capitalize(), _share(runs))
    return None


def _state_of(job: JobRecord, runs: Sequence[RunRecord]) -> JobHealth:
    if job.state == "paused":
        return JobHealth("paused", "Paused", "It will not fire until it is resumed.")
    if job.state == "finished":
        return JobHealth("finished", "Finished", "It will not fire again.")
    if not runs:
        return JobHealth("active", "Not run yet", "Nothing is known about its runs.")
    return JobHealth("succeeded", "Healthy", _share(runs))


def _share(runs: Sequence[RunRecord]) -> str:
    """Return how many of the last runs succeeded, of those that could have."""
    good = sum(run.state == "succeeded" for run in runs)
    judged = good + sum(run.state in _BAD for run in runs)
    if not judged:
        return "None of its runs has finished."
    if good == judged:
        return "Its run succeeded." if good == 1 else f"All of its last {good} runs succeeded."
    return f"{good} of the last {judged} runs succeeded."
