"""Browsers of people who are signed in, without the cost of a password."""

from __future__ import annotations

from tests.apps.flask_browser import Browser
from tests.apps.manageit.world import World


def visitor(world: World, user_id: int | None = None) -> Browser:
    """A browser; of a person who is signed in, if one is given."""
    browser = Browser(world.app, "/login" if user_id is None else "/")
    if user_id is not None:
        with browser.client.session_transaction() as session:
            session["_user_id"] = str(user_id)
    return browser


def student_of(world: World) -> Browser:
    return visitor(world, world.student())


def official_of(world: World, mess: str = "mess1") -> Browser:
    return visitor(world, world.official(mess))


def admin_of(world: World) -> Browser:
    return visitor(world, world.admin())
