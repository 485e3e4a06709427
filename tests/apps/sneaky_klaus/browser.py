"""Browsers that visit Sneaky Klaus."""

from __future__ import annotations

from argon2 import PasswordHasher

from apps.sneaky_klaus.models import Admin
from tests.apps import flask_browser
from tests.apps.sneaky_klaus.world import World

ADMIN = "admin@example.com"
PASSWORD = "candy-canes"
_HASH = PasswordHasher(1, 64, 1).hash(PASSWORD)


class Browser(flask_browser.Browser):
    """A browser that visits the application.

    Args:
        world: the application.
        address: the network address that the browser has.
    """

    def __init__(self, world: World, address: str = "127.0.0.1") -> None:
        super().__init__(world.app, "/admin/login", address)
        self.world = world


def admin_of(world: World) -> Browser:
    """The browser of a signed-in admin."""
    if not world.rows(Admin):
        world.add(Admin(email=ADMIN, password_hash=_HASH))
    browser = Browser(world)
    response = browser.post("/admin/login", email=ADMIN, password=PASSWORD)
    assert response.status_code == 303, response.text
    return browser
