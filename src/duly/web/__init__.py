"""The web application: a REST API and a dashboard, mounted in an ASGI host."""

from __future__ import annotations

from duly.model.key import Role
from duly.web.access import Principal
from duly.web.app import web_app
from duly.web.credentials import basic, bearer, hash_password
from duly.web.dependency import dependency
from duly.web.local_key import LocalKey, local_key

__all__ = [
    "LocalKey",
    "Principal",
    "Role",
    "basic",
    "bearer",
    "dependency",
    "hash_password",
    "local_key",
    "web_app",
]
