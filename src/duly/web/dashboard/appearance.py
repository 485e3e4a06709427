"""The appearance that a user has chosen, which a cookie keeps."""

from __future__ import annotations

from typing import Literal, cast, get_args

from starlette.requests import Request

Theme = Literal["light", "dark"]
COOKIE = "duly_theme"


def theme_of(request: Request) -> Theme | None:
    """Return the theme that this browser's user has chosen; ``None``: the system's."""
    chosen = request.cookies.get(COOKIE)
    return cast(Theme, chosen) if chosen in get_args(Theme) else None
