"""``python -m apps.sneaky_klaus``: migrate the database and serve, or add an admin."""

from __future__ import annotations

import argparse
import getpass

from flask_migrate import upgrade
from pydantic import ValidationError
from sqlalchemy import select

from apps.gunicorn_server import become_gunicorn
from apps.passwords import hash_password
from apps.sneaky_klaus.app import create_app
from apps.sneaky_klaus.database import db, transaction
from apps.sneaky_klaus.models import Admin
from apps.sneaky_klaus.settings import Settings


def main() -> None:
    """Read the command line; settings come from the environment."""
    parser = argparse.ArgumentParser(prog="python -m apps.sneaky_klaus", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--workers", type=int, default=1, help="number of processes on one database"
    )
    parser.add_argument("--add-admin", metavar="EMAIL", help="add an admin, and exit")
    options = parser.parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        parser.exit(2, f"cannot start: {error}\n")
    _migrate(settings)
    if options.add_admin:
        added = _add_admin(settings, options.add_admin.strip().lower(), getpass.getpass())
        parser.exit(not added, "done\n" if added else "there is an admin with this address\n")
    become_gunicorn(
        "apps.sneaky_klaus.app:from_environment()",
        f"{options.host}:{options.port}",
        options.workers,
        patience=settings.shutdown_grace_seconds + 10,
        secret_key=settings.secret_key,
    )


def _migrate(settings: Settings) -> None:
    with create_app(settings).app_context():
        upgrade()


def _add_admin(settings: Settings, email: str, password: str) -> bool:
    """Return whether there was none with this address."""
    hashed = hash_password(password)
    with create_app(settings).app_context(), transaction():
        if db.session.scalar(select(Admin).filter_by(email=email)) is not None:
            return False
        db.session.add(Admin(email=email, password_hash=hashed))
    return True


if __name__ == "__main__":
    main()
