"""The application with one more job, which is due often: for the tests of how it is started."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from apps.sneaky_klaus import app as application
from duly import Run, every

EVERY = 0.5
TICKS = "TICKS"
"""The variable that names the file into which each run writes its time and its process."""


def create_app() -> Flask:
    app = application.create_app()

    @app.extensions["duly"].job(every(seconds=EVERY), id="tick")
    def tick(run: Run) -> None:
        with Path(os.environ[TICKS]).open("a") as ticks:
            ticks.write(f"{run.scheduled_for} {os.getpid()}\n")

    return app
