"""The failures of a test's runs: each is raised, unless the test expects it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from duly.context import Run
from duly.errors import RetryAfter, RunFailed
from duly.executors.base import CallResult
from duly.model.event import Event
from duly.worker.attempt import Attempt

KINDS = ("run.failed", "run.retried")


class Failures:
    """Collects the failures of runs; it is called with every event of the scheduler."""

    def __init__(self) -> None:
        self._raised: dict[str, BaseException] = {}
        self._new: list[BaseException] = []
        self._expected: list[tuple[tuple[type[BaseException], ...], list[BaseException]]] = []

    def __call__(self, event: Event) -> None:
        """Note a failed attempt; a function that asks for another one has not failed."""
        if event.kind not in KINDS or event.run_id is None:
            return
        error = self._raised.pop(event.run_id, None)
        if error is None:
            error = RunFailed(f"{event.detail.get('error')}: {event.detail.get('message')}")
        if isinstance(error, RetryAfter) and event.kind == "run.retried":
            return
        self._note(error, f"run {event.run_id} of {event.job_id or 'an enqueued call'}")

    def note_apart(self, attempt: Attempt, result: CallResult) -> None:
        """Note a failed run of a process job, of which there is no event."""
        error = self._raised.pop(attempt.run.id, None)
        if error is None and attempt.stop_reason == "timeout":
            error = RunFailed(f"TimedOut: took longer than its {attempt.claim.policy.timeout:g} s")
        if error is None and result.error is not None:
            error = RunFailed(": ".join(result.error.facts[:2]))
        if error is not None:
            self._note(error, f"process job {attempt.claim.job_id}")

    @contextmanager
    def watching(self, run: Run) -> Iterator[None]:
        """Remember what is raised in the body, until the event of the run."""
        self.forget(run)
        try:
            yield
        except BaseException as error:
            self._raised[run.id] = error
            raise

    def forget(self, run: Run) -> None:
        """Forget what was raised, because something else has ended the attempt."""
        self._raised.pop(run.id, None)

    @contextmanager
    def expecting(self, *kinds: type[BaseException]) -> Iterator[list[BaseException]]:
        """See `World.expecting`."""
        caught: list[BaseException] = []
        self._expected.append((kinds or (Exception,), caught))
        try:
            yield caught
        finally:
            self._expected.pop()
        if not caught:
            names = " or ".join(kind.__name__ for kind in kinds) or "an exception"
            raise AssertionError(f"expected a run to fail with {names}, but none did")

    def raise_first(self) -> None:
        """Raise the first failure that is not expected, if there is one."""
        new, self._new = self._new, []
        unexpected = [error for error in new if not self._is_expected(error)]
        if not unexpected:
            return
        if len(unexpected) > 1:
            others = ", ".join(repr(error) for error in unexpected[1:6])
            unexpected[0].add_note(f"{len(unexpected) - 1} more failures: {others}")
        raise unexpected[0]

    def _note(self, error: BaseException, where: str) -> None:
        error.add_note(f"raised in {where}")
        self._new.append(error)

    def _is_expected(self, error: BaseException) -> bool:
        for kinds, caught in reversed(self._expected):
            if isinstance(error, kinds):
                caught.append(error)
                return True
        return False
