"""Signing in and out, and what each role may reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import (
    Blueprint,
    abort,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask_login import UserMixin, current_user, login_required, login_user, logout_user

from apps.manageit import accounts as store
from apps.manageit.accounts import Role
from apps.manageit.database import Row
from apps.manageit.services import services
from apps.web.flask_sign_in import (
    answer_sign_in,
    authenticate,
    is_signed_in,
    to_page_asked_for,
)
from duly.integrations.flask_login import flask_login_access
from duly.web import Principal

accounts = Blueprint("accounts", __name__)

HOMES: dict[Role, str] = {
    "student": "student.menu",
    "mess_official": "mess.dashboard",
    "admin": "admin.dashboard",
}


@dataclass(frozen=True, eq=False)
class Person(UserMixin):
    """The person who is signed in.

    Attributes:
        id: of the account.
        name: shown, and recorded with what admins do to jobs.
        email: the address.
        role: what the person may reach.
        mess: the mess of an official, or the usual one of a student.
    """

    id: int
    name: str
    email: str
    role: Role
    mess: str | None

    @classmethod
    def of(cls, row: Row) -> Person:
        """Return the person of a stored account."""
        return cls(row["id"], row["name"], row["email"], row["role"], row["mess_name"])


def find(id: str) -> Person | None:
    """Return the person whom a session names."""
    row = store.find(int(id))
    return None if row is None else Person.of(row)


def admit(*roles: Role) -> Callable[[], Any]:
    """Return what a blueprint does before each request: it lets these roles in only."""

    def check() -> None:
        if current_user.role not in roles:
            abort(403, "Your account may not see this page.")

    after_sign_in: Callable[[], Any] = login_required(check)
    return after_sign_in


def own_mess() -> str:
    """Return the mess of the official who is signed in, and refuse requests for another one."""
    mess: str = current_user.mess or abort(403, "Your account belongs to no mess.")
    if request.args.get("mess", mess) != mess:
        abort(403, "Your account belongs to another mess.")
    return mess


def _principal(person: Person) -> Principal | None:
    return Principal(person.name, "admin") if person.role == "admin" else None


duly_access = flask_login_access(_principal)
"""Lets admins see Duly's dashboard."""


@accounts.get("/login")
def login() -> Any:
    """Show the form to sign in."""
    if is_signed_in():
        return redirect(url_for("home"), 303)
    return render_template("login.html", email="", error=None)


@accounts.post("/login")
def sign_in() -> Any:
    """Sign a person in, or show the form with its error."""
    return answer_sign_in("login.html", _sign_in)


def sign_out() -> Any:
    """Sign the person out."""
    logout_user()
    session.clear()
    return redirect(url_for("accounts.login"), 303)


def home() -> Any:
    """Lead to the first page of the person's role."""
    page = HOMES[current_user.role] if is_signed_in() else "accounts.login"
    return redirect(url_for(page), 303)


def _sign_in(email: str, password: str) -> Any:
    found = store.find_by_email(email)
    row = authenticate(services().limiter, password, found, lambda row: row["password_hash"])
    session.clear()
    session.permanent = True
    login_user(Person.of(row))
    return to_page_asked_for("home")
