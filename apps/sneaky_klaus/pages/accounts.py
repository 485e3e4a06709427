"""The pages of the admin's account, and how Flask-Login knows who is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import (
    Blueprint,
    Flask,
    abort,
    has_request_context,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from sqlalchemy import func, select, text
from werkzeug.exceptions import TooManyRequests, Unauthorized

from apps.passwords import DUMMY_HASH, hash_password, verify_password
from apps.rate_limits import Limit, RateLimited, address_key
from apps.sneaky_klaus.database import db, reading, transaction
from apps.sneaky_klaus.models import Admin
from apps.sneaky_klaus.pages.forms import MAX_PASSWORD, SetUpForm
from apps.sneaky_klaus.services import services
from apps.sneaky_klaus.sessions import renew_session

accounts = Blueprint("accounts", __name__, url_prefix="/admin")

FAILED_LOGINS = Limit("failed logins", 10, timedelta(minutes=15))


@dataclass(frozen=True, eq=False)
class SignedIn(UserMixin):
    """The admin who is signed in."""

    id: int
    email: str


def actor_of(user: SignedIn) -> str:
    """Return an admin's name for the audit trail: an id, not an e-mail address."""
    return f"admin {user.id}"


def init_login(app: Flask) -> None:
    """Connect Flask-Login, whose user is the template variable ``user``."""
    login = LoginManager(app)
    login.session_protection = None  # the session is stored here, and has a new id at each sign-in
    login.user_loader(_find)
    login.unauthorized_handler(_ask_to_sign_in)
    app.context_processor(lambda: {"user": current_user if _is_signed_in() else None})


def limit(kind: Limit, key: str) -> Any:
    """Count an attempt, and return it.

    Raises:
        TooManyRequests: the limit has been reached.
    """
    try:
        return services().limiter.take(kind, key)
    except RateLimited as limited:
        raise TooManyRequests(
            "Too many attempts; try again later.", retry_after=limited.retry_after
        ) from None


def sender() -> str:
    """Return the key of the client for `limit`."""
    return address_key(request.remote_addr or "")


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
    if _is_signed_in():
        return redirect(url_for("exchanges.index"), 303)
    return render_template("login.html", email="", error=None)


@accounts.post("/login")
def sign_in() -> Any:
    """Sign an admin in, or show the form with its error."""
    email, password = request.form.get("email", ""), request.form.get("password", "")
    try:
        return _signed_in(_authenticate(email, password))
    except (Unauthorized, TooManyRequests) as error:
        page = render_template("login.html", email=email, error=error.description)
        waiting = dict(error.get_headers()).get("Retry-After")
        return page, error.code, {"Retry-After": waiting} if waiting else {}


def sign_out() -> Any:
    """Sign the admin out; participants of this browser stay signed in."""
    logout_user()
    renew_session()
    return redirect(url_for("home"), 303)


def _authenticate(email: str, password: str) -> SignedIn:
    """Return the admin with this address and password.

    An attempt counts from before it is tried, and one that succeeds is given back.
    """
    attempt = limit(FAILED_LOGINS, sender())
    wanted = select(Admin.id, Admin.email, Admin.password_hash).where(
        Admin.email == email.strip().lower()
    )
    with reading() as connection:
        admin = connection.execute(wanted).one_or_none()
    stored = admin.password_hash if admin else DUMMY_HASH
    right = verify_password(password[: MAX_PASSWORD + 1], stored)
    if admin is None or not right:
        raise Unauthorized("Address or password is wrong.")
    services().limiter.give_back(attempt)
    return SignedIn(admin.id, admin.email)


def _signed_in(user: SignedIn) -> Any:
    """Sign an admin in, and go to the page that was asked for."""
    renew_session()
    login_user(user)
    asked = request.args.get("next", "")
    inside = asked.startswith("/") and not asked.startswith(("//", "/\\"))
    return redirect(asked if inside else url_for("exchanges.index"), 303)


def _find(id: str) -> SignedIn | None:
    wanted = select(Admin.id, Admin.email).where(Admin.id == int(id))
    with reading() as connection:
        row = connection.execute(wanted).one_or_none()
    return SignedIn(row.id, row.email) if row else None


def _is_signed_in() -> bool:
    return has_request_context() and current_user.is_authenticated


def _has_admin() -> bool:
    with reading() as connection:
        return bool(connection.scalar(select(func.count()).select_from(Admin)))


def _ask_to_sign_in() -> Any:
    """Send a reader to the form; refuse everything else."""
    if request.method != "GET" or request.path.startswith("/admin/api/"):
        abort(401, "Sign in first.")
    asked = f"{request.root_path}{request.full_path.rstrip('?')}"
    return redirect(url_for("accounts.login", next=asked), 303)
