"""The dashboard's own files: styles and one script, the same for everybody."""

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
"""Changes with the files, so that browsers may keep them for as long as it is in the address."""


class DashboardFiles(StaticFiles):
    """Serves them; they hold nothing of anybody, so everybody may have them."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """See `StaticFiles.file_response`; says how long the file may be kept."""
        answer = super().file_response(full_path, stat_result, scope, status_code)
        kept = scope["query_string"] == f"v={VERSION}".encode()
        answer.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if kept else "no-cache"
        )
        return answer
