"""The static files of the dashboard: stylesheets, scripts and an icon."""

from __future__ import annotations

import hashlib
from os import PathLike, stat_result
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"
VERSION = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(FOLDER.rglob("*.*")))
).hexdigest()[:12]
"""A hash of the files. It is part of their path, so that browsers can cache them forever, and so
that a script imports the other scripts of its own version."""

STYLES = (
    "tokens.css",
    "frame.css",
    "states.css",
    "tables.css",
    "controls.css",
    "figures.css",
    "run.css",
    "charts.css",
    "fleet.css",
    "forms.css",
    "job.css",
    "lists.css",
)
"""The stylesheets in the order in which they apply."""


class DashboardFiles(StaticFiles):
    """Serves the static files without authorization, because they contain no data."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    def lookup_path(self, path: str) -> tuple[str, stat_result | None]:
        """See `StaticFiles.lookup_path`; the version at the start of a path is no folder."""
        return super().lookup_path(path.removeprefix(f"{VERSION}/"))

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """See `StaticFiles.file_response`; sets how long the file may be cached."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable"
            if f"/static/{VERSION}/" in scope["path"]
            else "no-cache"
        )
        return response
