"""Access to the dashboard for the users of Flask-Login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask_login import current_user
from starlette.requests import Request

from duly.web import Principal


def flask_login_access(
    to_principal: Callable[[Any], Principal | None],
) -> Callable[[Request], Principal | None]:
    """Return an access callable for ``init_app(…, web=…, access=…)`` that asks Flask-Login.

    Args:
        to_principal: returns the principal of a signed-in user, as Flask-Login has loaded it;
            ``None`` refuses the user.
    """

    def who(_request: Request) -> Principal | None:
        return to_principal(current_user._get_current_object()) if _is_signed_in() else None

    return who


def _is_signed_in() -> bool:
    return bool(current_user and current_user.is_authenticated)
