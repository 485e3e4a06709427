"""``python -m apps.expireeye``: serve the application, or make a user an operator."""

from __future__ import annotations

import argparse
import asyncio
import os

import uvicorn

from apps.expireeye.accounts import make_operator
from apps.expireeye.api.socket import MAX_FRAME
from apps.expireeye.database import database_at
from apps.expireeye.settings import Settings, SettingsError


def main() -> None:
    """Read the command line; settings come from the environment."""
    parser = argparse.ArgumentParser(prog="python -m apps.expireeye", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--workers", type=int, default=1, help="number of processes on one database"
    )
    parser.add_argument(
        "--make-operator", metavar="EMAIL", help="make this user an operator, and exit"
    )
    options = parser.parse_args()
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        parser.exit(2, f"cannot start: {error}\n")
    if options.make_operator:
        found = asyncio.run(_promote(settings, options.make_operator))
        parser.exit(0 if found else 1, "done\n" if found else "no user has this address\n")
    os.environ["JWT_SECRET"] = settings.jwt_secret  # all workers must sign with the same key
    uvicorn.run(
        "apps.expireeye.app:from_environment",
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        log_config=None,
        ws_max_size=4 * MAX_FRAME,
        ws_ping_interval=30,
        ws_ping_timeout=60,
        timeout_graceful_shutdown=5,
    )


async def _promote(settings: Settings, email: str) -> bool:
    database = database_at(settings.database_url)
    try:
        await database.create_tables()
        async with database.begin() as session:
            return await make_operator(session, email)
    finally:
        await database.close()


if __name__ == "__main__":
    main()
