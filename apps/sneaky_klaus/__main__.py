"""``python -m apps.sneaky_klaus``: migrate the database and serve, or add an admin."""

from __future__ import annotations

import argparse
import getpass
import os
import sys

from flask_migrate import upgrade
from pydantic import ValidationError
from sqlalchemy import select

from apps.passwords import hash_password
from apps.sneaky_klaus.app import create_app
from apps.sneaky_klaus.database import db, transaction
from apps.sneaky_klaus.models import Admin
from apps.sneaky_klaus.settings import Settings

_THREADS = "4"
_EXTRA_SECONDS = 10
"""How much longer than the scheduler's grace period gunicorn waits for a worker that stops."""


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
    _serve(settings, f"{options.host}:{options.port}", options.workers)


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


def _serve(settings: Settings, address: str, workers: int) -> None:
    """Become gunicorn."""
    # All workers must sign with the same key.
    os.environ["SECRET_KEY"] = settings.secret_key.get_secret_value()
    patience = round(settings.shutdown_grace_seconds) + _EXTRA_SECONDS
    os.execv(  # noqa: S606 - there is no shell to need
        sys.executable,
        [
            sys.executable, "-m", "gunicorn", "--bind", address, "--workers", str(workers),
            "--threads", _THREADS, "--no-control-socket", "--graceful-timeout", str(patience),
            "apps.sneaky_klaus.app:from_environment()",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
