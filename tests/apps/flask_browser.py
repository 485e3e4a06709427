"""A browser without scripts: Flask's test client, which sends forms with their token."""

from __future__ import annotations

import re
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Browser:
    """A browser that visits an application.

    Args:
        app: the application.
        form: the path of a page that everybody can open and that has a form.
        address: the network address that the browser has.
    """

    def __init__(self, app: Flask, form: str, address: str = "127.0.0.1") -> None:
        self.client = app.test_client()
        self._form = form
        self._environ = {"REMOTE_ADDR": address}

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, environ_base=self._environ, **options)

    def post(self, path: str, fields: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        """Send a form of a page, with the token that a page of this browser has."""
        data = {"csrf": self.token(), **(fields or {}), **more}
        return self.client.post(
            path, data=data, environ_base=self._environ, headers={"accept": PAGE}
        )

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> TestResponse:
        """Send a request as a program does, with this browser's session and token."""
        return self.client.open(
            path, method=method, json=body, environ_base=self._environ,
            headers={"x-csrf-token": self.token()},
        )  # fmt: skip

    def token(self) -> str:
        page = self.get(self._form, follow_redirects=True).text
        found = _TOKEN.search(page)
        assert found is not None, page
        return found[1]

    def read(self, path: str, status: int = 200) -> str:
        """The text of a page that must have this status."""
        response = self.get(path)
        assert response.status_code == status, response.text
        return response.text
