"""A browser without scripts: Flask's test client, which sends forms with their token."""

from __future__ import annotations

import re
from typing import Any

from argon2 import PasswordHasher
from werkzeug.test import TestResponse

from apps.sneaky_klaus.models import Admin
from tests.apps.sneaky_klaus.world import World

ADMIN = "admin@example.com"
PASSWORD = "candy-canes"
_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')
_HASH = PasswordHasher(1, 64, 1).hash(PASSWORD)


class Browser:
    """A browser that visits the application.

    Args:
        world: the application.
        address: the network address that the browser has.
    """

    def __init__(self, world: World, address: str = "127.0.0.1") -> None:
        self.world = world
        self.client = world.app.test_client()
        self._environ = {"REMOTE_ADDR": address}

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, environ_base=self._environ, **options)

    def post(self, path: str, fields: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        """Send a form with the token that a page of this browser has."""
        data = {"csrf": self.token(), **(fields or {}), **more}
        return self.client.post(path, data=data, environ_base=self._environ)

    def token(self) -> str:
        page = self.get("/admin/login", follow_redirects=True).text
        found = _TOKEN.search(page)
        assert found is not None, page
        return found[1]

    def read(self, path: str, status: int = 200) -> str:
        """The text of a page that must have this status."""
        response = self.get(path)
        assert response.status_code == status, response.text
        return response.text


def admin_of(world: World) -> Browser:
    """The browser of a signed-in admin."""
    if not world.rows(Admin):
        world.add(Admin(email=ADMIN, password_hash=_HASH))
    browser = Browser(world)
    response = browser.post("/admin/login", email=ADMIN, password=PASSWORD)
    assert response.status_code == 303, response.text
    return browser
