"""``python -m apps.manageit``: serve the application, or add an account."""

from __future__ import annotations

import argparse
import getpass

from pydantic import ValidationError

from apps.gunicorn_server import become_gunicorn
from apps.manageit import accounts, messes
from apps.manageit.app import create_app
from apps.manageit.seed import seed
from apps.manageit.settings import Settings


def main() -> None:
    """Read the command line; settings come from the environment."""
    parser = argparse.ArgumentParser(prog="python -m apps.manageit", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--workers", type=int, default=1, help="number of processes on one database"
    )
    parser.add_argument("--seed", action="store_true", help="add sample data before serving")
    parser.add_argument("--add-user", metavar="EMAIL", help="add an account, and exit")
    parser.add_argument(
        "--role", choices=("student", "mess_official", "admin"), default="student",
        help="the role of the account (student)",
    )  # fmt: skip
    parser.add_argument("--mess", help="the mess of an official")
    options = parser.parse_args()
    if options.add_user and (options.role == "mess_official") != (options.mess is not None):
        parser.error("--mess is required for a mess_official, and only for one")
    try:
        settings = Settings()
    except ValidationError as error:
        parser.exit(2, f"cannot start: {error}\n")
    if options.add_user:
        problem = _add_user(settings, options)
        parser.exit(2 if problem else 0, f"{problem or 'done'}\n")
    if options.seed:
        app = create_app(settings=settings)
        app.extensions["scheduler"].prepare()
        with app.app_context():
            seed()
    become_gunicorn(
        "apps.manageit.app:from_environment()",
        f"{options.host}:{options.port}",
        options.workers,
        patience=settings.shutdown_grace_seconds + 2,
        secret_key=settings.secret_key,
    )


def _add_user(settings: Settings, options: argparse.Namespace) -> str | None:
    """Add an account; return why that is not possible, if so."""
    email = options.add_user
    with create_app(settings=settings).app_context():
        known = [mess["name"] for mess in messes.active()]
        if options.mess is not None and options.mess not in known:
            return f"there is no mess {options.mess!r}; there are: {', '.join(known) or 'none'}"
        if accounts.find_by_email(email) is not None:
            return f"{email} has an account already"
        name, password = email.partition("@")[0].capitalize(), getpass.getpass()
        accounts.add(name, email, password, options.role, options.mess)
    return None


if __name__ == "__main__":
    main()
