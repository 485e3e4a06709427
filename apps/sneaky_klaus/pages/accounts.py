"""The pages of the admin's account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, redirect, render_template, url_for
from flask_login import UserMixin, login_user, logout_user
from sqlalchemy import func, select, text

from apps.passwords import hash_password
from apps.sneaky_klaus.database import db, reading, transaction
from apps.sneaky_klaus.models import Admin
from apps.sneaky_klaus.pages.forms import SetUpForm
from apps.sneaky_klaus.services import services
from apps.sneaky_klaus.sessions import renew_session
from apps.web.flask_sign_in import (
    answer_sign_in,
    authenticate,
    is_signed_in,
    to_page_asked_for,
)

accounts = Blueprint("accounts", __name__, url_prefix="/admin")


@dataclass(frozen=True, eq=False)
class SignedIn(UserMixin):
    """The admin who is signed in."""

    id: int
    email: str


def actor_of(user: SignedIn) -> str:
    """Return an admin's name for the audit trail: an id, not an e-mail address."""
    return f"admin {user.id}"


@accounts.route("/setup", methods=["GET", "POST"])
def set_up() -> Any:
    """Create the first admin, as long as there is none."""
    if _has_admin():
        abort(404, _SET_UP)
    form = SetUpForm()
    if not form.validate_on_submit():
        return render_template("set_up.html", form=form), 422 if form.errors else 200
    hashed = hash_password(form.password.data or "")
    with transaction():
        admin = Admin(email=(form.email.data or "").lower(), password_hash=hashed)
        _add_first(admin)
        user = SignedIn(admin.id, admin.email)
    return _signed_in(user)


_SET_UP = "This application has an admin already."


def _add_first(admin: Admin) -> None:
    """Add the first admin; of two who try at once, one is refused."""
    if db.engine.dialect.name == "postgresql":  # SQLite has one writer at a time
        db.session.execute(text("LOCK TABLE admin IN SHARE ROW EXCLUSIVE MODE"))
    if db.session.scalar(select(func.count()).select_from(Admin)):
        abort(404, _SET_UP)
    db.session.add(admin)
    db.session.flush()


@accounts.get("/login")
def login() -> Any:
    """Show the form to sign in."""
    if not _has_admin():
        return redirect(url_for("accounts.set_up"), 303)
    if is_signed_in():
        return redirect(url_for("exchanges.index"), 303)
    return render_template("login.html", email="", error=None)


@accounts.post("/login")
def sign_in() -> Any:
    """Sign an admin in, or show the form with its error."""
    return answer_sign_in("login.html", _authenticate)


def sign_out() -> Any:
    """Sign the admin out; participants of this browser stay signed in."""
    logout_user()
    renew_session()
    return redirect(url_for("home"), 303)


def find(id: str) -> SignedIn | None:
    """Return the admin whom a session names."""
    wanted = select(Admin.id, Admin.email).where(Admin.id == int(id))
    with reading() as connection:
        row = connection.execute(wanted).one_or_none()
    return SignedIn(row.id, row.email) if row else None


def _authenticate(email: str, password: str) -> Any:
    wanted = select(Admin.id, Admin.email, Admin.password_hash).where(
        Admin.email == email.strip().lower()
    )
    with reading() as connection:
        found = connection.execute(wanted).one_or_none()
    row = authenticate(services().limiter, password, found, lambda row: row.password_hash)
    return _signed_in(SignedIn(row.id, row.email))


def _signed_in(user: SignedIn) -> Any:
    """Sign an admin in, and go to the page that was asked for."""
    renew_session()
    login_user(user)
    return to_page_asked_for("exchanges.index")


def _has_admin() -> bool:
    with reading() as connection:
        return bool(connection.scalar(select(func.count()).select_from(Admin)))
