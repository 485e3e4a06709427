"""${message}"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from apps.columns import Instant  # noqa: F401 - some migrations have none

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Apply the migration."""
    ${upgrades if upgrades else "pass"}
