"""The links of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request

from duly.model.run import RunRecord
from duly.web.csrf import SAFE_METHODS
from duly.web.dashboard.elements import name_link
from duly.web.dashboard.static_files import VERSION
from duly.web.paths import address, segment

_ACTIONS = (
    (re.compile(r"(/(?:jobs|runs|settings/calendars)/[^/]+)/[a-z]+"), r"\1"),
    (re.compile(r"(/settings/(?:keys|notices))/.+"), r"\1"),
    (re.compile(r"/settings/outbox/.+"), "/settings/notices"),
    (re.compile(r"/(?:workers|queues|limits)/.+"), "/workers"),
)
"""The paths of actions, and the page to go back to if one is refused."""


class Links:
    """Builds the paths of pages under this mount.

    Args:
        request: the request for the page that contains the links.
    """

    def __init__(self, request: Request) -> None:
        self._base = request.scope.get("root_path") or ""
        self._path = address(request.scope)
        self._is_page = request.method in SAFE_METHODS
        self._query = request.query_params.multi_items()

    def to(self, *parts: str, **query: str | Sequence[str] | None) -> str:
        """Return the path of a page; each part is encoded as one segment."""
        path = f"{self._base}/{'/'.join(map(segment, parts))}"
        parameters = {name: value for name, value in query.items() if value}
        return f"{path}?{urlencode(parameters, doseq=True)}" if parameters else path

    def file(self, *parts: str) -> str:
        """Return the path of a static file; it contains the version of the files."""
        return self.to("static", VERSION, *parts)

    def owner(self) -> str | None:
        """Return the path of the page that the requested action belongs to, if any."""
        path = self._path.removeprefix(self._base)
        for action, page in _ACTIONS:
            match = action.fullmatch(path)
            if match:
                return self._base + match.expand(page)
        return None

    def area(self) -> str:
        """Return the first segment of the path of this page, or of the page of its action."""
        path = self.owner() or self._path
        return path.removeprefix(self._base).lstrip("/").partition("/")[0]

    def back(self) -> str:
        """Return the path to return to after an action on this page, which can be requested."""
        return self.here() if self._is_page else self.owner() or self.to()

    def here(self, **changed: str | None) -> str:
        """Return the path of this page, with some query parameters changed or removed."""
        changed = {**changed, "done": None}
        kept = [(name, value) for name, value in self._query if value and name not in changed]
        query = kept + [(name, value) for name, value in changed.items() if value]
        return f"{self._path}?{urlencode(query)}" if query else self._path

    def job(self, job_id: str) -> Markup:
        """Return the link to a job, whose text is its id."""
        return name_link(self.to("jobs", job_id), job_id)

    def run(self, run: RunRecord) -> Markup:
        """Return the link to a run, whose text is the id of its job, or else its task."""
        return name_link(self.to("runs", run.id), run.job_id or run.task)
