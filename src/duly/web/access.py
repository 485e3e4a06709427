"""Authorization: the only place that decides who may do what. The default is to refuse."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from duly.errors import ConfigurationError
from duly.model.key import ROLES, Role

MAX_NAME_LENGTH = 191


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in user.

    Attributes:
        name: recorded in the audit trail with every change that the user makes.
        role: a ``viewer`` may read; an ``operator`` may also run, pause, retry and cancel; an
            ``admin`` may also create, edit and delete.
        owners: the owners whose jobs and runs the user may reach, see `JobOptions`; the others do
            not exist for the user, and what concerns all of them is refused. ``None``: no limit.

    Raises:
        ConfigurationError: the role does not exist, or a name is not valid.
    """

    name: str
    role: Role = "viewer"
    owners: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ConfigurationError(
                f"role={self.role!r} is not valid; it must be one of {', '.join(ROLES)}"
            )
        if not 0 < len(self.name) <= MAX_NAME_LENGTH or not self.name.isprintable():
            raise ConfigurationError(
                f"name={self.name!r} is not valid; it must be 1 to {MAX_NAME_LENGTH} printable "
                "characters"
            )

        if self.owners is not None:
            object.__setattr__(self, "owners", self._check_owners())

    def _check_owners(self) -> tuple[str, ...]:
        if isinstance(self.owners, str) or not all(isinstance(o, str) for o in self.owners or ()):
            raise ConfigurationError(
                f"owners={self.owners!r} is not valid; give a list of names, such as ['acme']"
            )
        return tuple(self.owners or ())

    def owns(self, owner: object) -> bool:
        """Return whether the user may reach what belongs to an owner."""
        return self.owners is None or (isinstance(owner, str) and owner in self.owners)

    def may(self, needed: Role) -> bool:
        """Return whether this role includes the role ``needed``."""
        return ROLES.index(self.role) >= ROLES.index(needed)


Access = Callable[[Request], Principal | Awaitable[Principal | None] | None]
"""A function that returns who sends a request, or ``None`` if the sender is not signed in."""


Ask = Callable[[Request], Awaitable[Principal | None]]


@runtime_checkable
class SupportsSignIn(Protocol):
    """An access callable that can also sign users in, by responding to a request itself."""

    def sign_in(self, request: Request) -> Response | None:
        """Return the response that signs the sender in, or ``None`` for any other request."""


class Guard:
    """Decides whether a request is allowed.

    Args:
        access: returns who sends a request.
        of_key: returns who sends a request with a stored key; see `duly.web.api_keys`.

    Raises:
        ConfigurationError: ``access`` is not callable.
    """

    def __init__(self, access: Access, of_key: Ask) -> None:
        if not callable(access):
            raise ConfigurationError(
                f"access={access!r} is not callable; give a function that returns who sends a "
                "request, such as lambda request: Principal(name='ana', role='operator'), or "
                "local_key() for a demo"
            )
        self._access = access
        self._of_key = of_key
        self._challenge = {"WWW-Authenticate": getattr(access, "challenge", "Bearer")}
        candidate: object = access
        self._signs_in = candidate if isinstance(candidate, SupportsSignIn) else None
        self._is_async = inspect.iscoroutinefunction(access) or inspect.iscoroutinefunction(
            getattr(access, "__call__", None)  # noqa: B004 - an instance whose __call__ is async
        )

    def sign_in(self, request: Request) -> Response | None:
        """Return the response that signs the sender in, if this request asks for it."""
        return self._signs_in.sign_in(request) if self._signs_in else None

    async def admit(self, request: Request, needed: Role) -> Principal:
        """Return the sender of a request if they have the role ``needed``.

        Raises:
            HTTPException: 401, the sender is not signed in; 403, their role is not sufficient;
                429, their key has no requests left.
        """
        principal: object = await self._of_key(request) or await self._ask(request)
        if principal is None:
            raise HTTPException(401, "You are not signed in.", self._challenge)
        if not isinstance(principal, Principal):
            raise TypeError(
                f"access must return a Principal or None, not {type(principal).__name__}"
            )
        if not principal.may(needed):
            raise HTTPException(
                403,
                f"This requires the role {needed}; {principal.name} has the role {principal.role}.",
            )
        return principal

    async def _ask(self, request: Request) -> Any:
        if self._is_async:
            principal = self._access(request)
        else:  # a plain function may query a database, which would block the event loop
            principal = await run_in_threadpool(self._access, request)
        return await principal if inspect.isawaitable(principal) else principal


def bearer_token(request: Request) -> str | None:
    """Return the bearer token of a request, which browsers never send on their own."""
    scheme, separator, token = request.headers.get("authorization", "").partition(" ")
    return token if separator and scheme.lower() == "bearer" else None
