"""Where the API is, under the mount."""

from __future__ import annotations

PREFIX = "/api/v1"
