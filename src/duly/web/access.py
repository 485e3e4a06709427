"""Who may do what: the one place that decides it. The default is no."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from duly.errors import ConfigurationError

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
MAX_NAME = 191


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who is signed in.

    Attributes:
        name: goes into the audit trail with everything this person changes.
        role: ``viewer`` reads; ``operator`` also runs, pauses, retries, cancels; ``admin`` also
            creates, edits and deletes.

    Raises:
        ConfigurationError: an unknown role, or no usable name.
    """

    name: str
    role: Role = "viewer"

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ConfigurationError(f"role={self.role!r}; it must be one of {', '.join(ROLES)}")
        if not 0 < len(self.name) <= MAX_NAME or not self.name.isprintable():
            raise ConfigurationError(
                f"name={self.name!r}; a principal has a name of 1 to {MAX_NAME} printable "
                "characters"
            )

    def may(self, needed: Role) -> bool:
        """Whether this role includes ``needed``."""
        return ROLES.index(self.role) >= ROLES.index(needed)


Access = Callable[[Request], Principal | Awaitable[Principal | None] | None]
"""Says who sends a request; ``None``: nobody who is signed in."""


@runtime_checkable
class SupportsSignIn(Protocol):
    """An access callable that can also sign somebody in, by answering a request itself."""

    def sign_in(self, request: Request) -> Response | None:
        """The answer that signs the sender in, or ``None`` for every other request."""


class Guard:
    """Admits a request or refuses it.

    Args:
        access: says who sends a request.

    Raises:
        ConfigurationError: it cannot be called.
    """

    def __init__(self, access: Access) -> None:
        if not callable(access):
            raise ConfigurationError(
                f"access={access!r}: the web application needs a callable that says who sends a "
                "request: access=lambda request: Principal(name='ana', role='operator'), or "
                "access=local_key() for a demo"
            )
        self._access = access
        held: object = access
        self._signs_in = held if isinstance(held, SupportsSignIn) else None
        self._is_async = inspect.iscoroutinefunction(access) or inspect.iscoroutinefunction(
            getattr(access, "__call__", None)  # noqa: B004 - an instance whose __call__ is async
        )

    def sign_in(self, request: Request) -> Response | None:
        """The answer of an access callable that signs the sender in with this request."""
        return self._signs_in.sign_in(request) if self._signs_in else None

    async def admit(self, request: Request, needed: Role) -> Principal:
        """The sender of a request, who has the role that is needed.

        Raises:
            HTTPException: 401, nobody is signed in; 403, the role is not enough.
        """
        principal: object = await self._ask(request)
        if principal is None:
            raise HTTPException(401, "You are not signed in.", {"WWW-Authenticate": "Bearer"})
        if not isinstance(principal, Principal):
            raise TypeError(f"access returned {type(principal).__name__}, not a Principal or None")
        if not principal.may(needed):
            raise HTTPException(
                403, f"This needs the role {needed}; {principal.name} is {principal.role}."
            )
        return principal

    async def _ask(self, request: Request) -> Any:
        if self._is_async:
            answer = self._access(request)
        else:  # a plain function may ask a database: not on the event loop
            answer = await run_in_threadpool(self._access, request)
        return await answer if inspect.isawaitable(answer) else answer


def has_bearer(request: Request) -> bool:
    """Whether a request carries a bearer token, which no browser sends by itself."""
    return request.headers.get("authorization", "").lower().startswith("bearer ")
