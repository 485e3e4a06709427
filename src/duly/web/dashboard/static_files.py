"""The static files of the dashboard: a stylesheet, a script and icons."""

from __future__ import annotations

import hashlib
from os import PathLike, stat_result
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"
VERSION = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(FOLDER.iterdir()))
).hexdigest()[:12]
"""A hash of the files: URLs contain it, so that browsers can cache the files forever."""


class DashboardFiles(StaticFiles):
    """Serves the static files without authorization, because they contain no data."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """See `StaticFiles.file_response`; sets how long the file may be cached."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        versioned = scope["query_string"] == f"v={VERSION}".encode()
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if versioned else "no-cache"
        )
        return response
