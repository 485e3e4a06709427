"""Ids in addresses: any printable text is one segment of a path, also one with a slash."""

from __future__ import annotations

from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Receive, Scope, Send

API_PREFIX = "/api/v1"
"""Where the REST API is, under the mount."""

# Stands for an encoded slash while routes are matched; no id contains control characters.
SLASH = "\x1f"


def segment(text: str) -> str:
    """Text as one segment of a path."""
    return quote(text, safe="")


def from_segment(matched: str) -> str:
    """What a matched segment stands for."""
    return matched.replace(SLASH, "/")


def address(scope: Scope) -> str:
    """The path of a request as a link to it would have it."""
    return "/".join(segment(from_segment(part)) for part in scope["path"].split("/"))


class PreserveEncodedSlashes:
    """Keeps ``%2F`` inside its segment, where servers decode it before routes are matched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its path as the sender cut it."""
        raw = scope.get("raw_path") or b""
        if b"%2f" in raw.lower():
            path = "/".join(
                unquote(part).replace("/", SLASH) for part in raw.decode("latin-1").split("/")
            )
            if from_segment(path) == scope["path"]:
                scope = {**scope, "path": path}
        await self.app(scope, receive, send)
