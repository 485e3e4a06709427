"""Signing in to the pages of a Flask application, with Flask-Login and a limit of attempts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from flask import Flask, abort, has_request_context, redirect, render_template, request, url_for
from flask_login import LoginManager, current_user
from werkzeug.exceptions import TooManyRequests, Unauthorized

from apps.passwords import DUMMY_HASH, verify_password
from apps.rate_limits import Attempt, Limit, RateLimited, RateLimiter, address_key

T = TypeVar("T")
MAX_PASSWORD = 200
FAILED_SIGN_INS = Limit("failed logins", 10, timedelta(minutes=15))


def init_login(app: Flask, find: Callable[[str], Any], sign_in: str) -> None:
    """Connect Flask-Login, whose user is the template variable ``user``.

    Args:
        app: the application.
        find: returns the user with an id; ``None``: there is none.
        sign_in: the endpoint of the page to which readers are sent who have to sign in.
    """
    login = LoginManager(app)
    login.session_protection = None  # each sign-in begins a new session
    login.user_loader(find)
    login.unauthorized_handler(lambda: _ask_to_sign_in(sign_in))
    app.context_processor(lambda: {"user": current_user if is_signed_in() else None})


def is_signed_in() -> bool:
    """Return whether the sender of the current request is signed in."""
    return has_request_context() and current_user.is_authenticated


def limit(limiter: RateLimiter, kind: Limit, key: str) -> Attempt:
    """Count an attempt, and return it.

    Raises:
        TooManyRequests: the limit has been reached.
    """
    try:
        return limiter.take(kind, key)
    except RateLimited as limited:
        raise TooManyRequests(
            "Too many attempts; try again later.", retry_after=limited.retry_after
        ) from None


def sender() -> str:
    """Return the key of the client for `limit`."""
    return address_key(request.remote_addr or "")


def authenticate(
    limiter: RateLimiter, password: str, account: T | None, hash_of: Callable[[T], str]
) -> T:
    """Return an account if a password is its own.

    An attempt counts from before it is tried, and one that succeeds is given back.

    Args:
        limiter: counts the attempts of each client.
        password: what was sent.
        account: the account of the address that was sent; ``None``: there is none, which takes
            equally long.
        hash_of: returns the stored hash of an account.

    Raises:
        Unauthorized: it is not, or there is no account.
        TooManyRequests: the client has failed too often.
    """
    attempt = limit(limiter, FAILED_SIGN_INS, sender())
    stored = DUMMY_HASH if account is None else hash_of(account)
    matches = verify_password(password[: MAX_PASSWORD + 1], stored)
    if account is None or not matches:
        raise Unauthorized("Address or password is wrong.")
    limiter.give_back(attempt)
    return account


def answer_sign_in(template: str, sign_in: Callable[[str, str], Any]) -> Any:
    """Answer the form to sign in, with an error in the form itself.

    Args:
        template: the page of the form.
        sign_in: is called with the address and the password; it returns the response, or raises
            what `authenticate` raises.
    """
    email = request.form.get("email", "")
    try:
        return sign_in(email, request.form.get("password", ""))
    except (Unauthorized, TooManyRequests) as error:
        page = render_template(template, email=email, error=error.description)
        waiting = dict(error.get_headers()).get("Retry-After")
        return page, error.code, {"Retry-After": waiting} if waiting else {}


def to_page_asked_for(otherwise: str) -> Any:
    """Redirect to the page that led to the form, or to the endpoint ``otherwise``."""
    asked = request.args.get("next", "")
    # Browsers read a backslash as a slash, and skip control characters.
    inside = re.fullmatch(r"/(?![/\\])[^\x00-\x1f]*", asked)
    return redirect(asked if inside else url_for(otherwise), 303)


def _ask_to_sign_in(sign_in: str) -> Any:
    """Send a reader to the form; refuse everything else."""
    if request.method not in ("GET", "HEAD") or "/api/" in request.path:
        abort(401, "Sign in first.")
    asked = f"{request.root_path}{request.full_path.rstrip('?')}"
    return redirect(url_for(sign_in, next=asked), 303)
