"""Ids in URLs: any printable id is a single path segment, even if it contains a slash."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, unquote

from pydantic import AfterValidator
from starlette.types import ASGIApp, Receive, Scope, Send

API = "/api"
"""The path under the mount of what speaks JSON."""

API_PREFIX = f"{API}/v1"
"""The path of the REST API under the mount."""

# Replaces encoded slashes while routes are matched; no id contains control characters.
SLASH = "\x1f"


def segment(text: str) -> str:
    """Encode text as a path segment."""
    return quote(text, safe="")


def from_segment(matched: str) -> str:
    """Return the text of a matched segment."""
    return matched.replace(SLASH, "/")


def _name(matched: str) -> str:
    name = from_segment(matched)
    if not name.isprintable():
        raise ValueError("no id or name has control characters")
    return name


Name = Annotated[str, AfterValidator(_name)]
"""The annotation of a handler's parameter that is an id or a name in the path."""


def address(scope: Scope) -> str:
    """Return the path of a request, encoded as in a link to it."""
    return "/".join(segment(from_segment(part)) for part in scope["path"].split("/"))


class PreserveEncodedSlashes:
    """Keeps ``%2F`` inside its segment; servers decode it before routes are matched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its path split into segments as the client sent it."""
        raw = scope.get("raw_path") or b""
        if b"%2f" in raw.lower():
            path = "/".join(
                unquote(part).replace("/", SLASH) for part in raw.decode("latin-1").split("/")
            )
            if from_segment(path) == scope["path"]:
                scope = {**scope, "path": path}
        await self.app(scope, receive, send)
