"""Sneaky Klaus as it is served: one database, and real processes on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apps.mail_catcher.mails import CaughtMail, newest
from duly import RunRecord, Scheduler
from tests.apps.sneaky_klaus.world import SECRET
from tests.support.processes import Child, Children, Server
from tests.support.waiting import wait_until


class Site:
    """One database and the processes that use it.

    Attributes:
        scheduler: a scheduler on the same database, which is never started.
    """

    def __init__(self, url: str, folder: Path, children: Children) -> None:
        self.url = url
        self.folder = folder
        self.scheduler = Scheduler(url)
        self._children = children
        self._mails = folder / "mail"

    def serve(self, *options: str, **env: Any) -> Server:
        """Start the application as its README says, and wait until it answers."""
        return self.server("-m", "apps.sneaky_klaus", "--port", "0", *options, **env)

    def server(self, *arguments: str, **env: Any) -> Server:
        """Start a server, and wait until it answers."""
        return self._children.server(*arguments, env=self._env(env))

    def python(self, *arguments: str, **env: Any) -> Child:
        """Start another Python process."""
        return self._children.python(*arguments, env=self._env(env))

    def _env(self, env: dict[str, Any]) -> dict[str, str]:
        usual = {
            "DATABASE_URL": self.url, "SECRET_KEY": SECRET, "MAIL_FOLDER": self._mails,
            "HOME": self.folder,
        }  # fmt: skip
        given = {**usual, **{name.upper(): value for name, value in env.items()}}
        return {name: str(value) for name, value in given.items()}

    def workers(self, count: int) -> set[int]:
        """Wait until there are so many workers, and return their process ids."""

        def look() -> set[int]:
            pids = {worker.pid for worker in self.scheduler.workers()}
            return pids if len(pids) == count else set()

        return wait_until(look, what=f"{count} workers")

    def runs(self, task: str, **filters: Any) -> list[RunRecord]:
        """The runs of a task or of the job of this name, newest first."""
        return self.scheduler.runs(task=task, limit=1000, **filters)

    def ended(self, task: str) -> list[RunRecord]:
        """Those of them that have ended."""
        return [run for run in self.runs(task) if run.is_terminal]

    def wait_for_end(self, run_id: str) -> RunRecord:
        """Wait until a run has ended, and return it."""
        wait_until(lambda: self.scheduler.run(run_id).is_terminal, what="the end of the run")
        return self.scheduler.run(run_id)

    def mails(self, subject: str) -> list[CaughtMail]:
        """The mails whose subject contains a text."""
        return [mail for mail in newest(self._mails) if subject in mail.subject]

    def close(self) -> None:
        self.scheduler.stop()
