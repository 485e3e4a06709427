"""``python -m apps.alerts``: serve the application, or add accounts and clients."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os

import uvicorn
from pydantic import ValidationError
from sqlalchemy import select

from apps.alerts.accounts import add_user
from apps.alerts.models import Client, Role
from apps.alerts.services import Services
from apps.alerts.settings import Settings


def main() -> None:
    """Read the command line; settings come from the environment."""
    parser = argparse.ArgumentParser(prog="python -m apps.alerts", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--workers", type=int, default=1, help="number of processes on one database"
    )
    parser.add_argument("--add-admin", metavar="EMAIL", help="add an admin, and exit")
    parser.add_argument("--add-user", metavar="EMAIL", help="add a user of --client, and exit")
    parser.add_argument("--client", help="the name of the user's client, which is added if new")
    options = parser.parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        parser.exit(2, f"cannot start: {error}\n")
    if options.add_admin or options.add_user:
        asyncio.run(_add(settings, options))
        parser.exit(0, "done\n")
    # All workers must sign with the same key.
    os.environ["JWT_SECRET"] = settings.jwt_secret.get_secret_value()
    uvicorn.run(
        "apps.alerts.app:from_environment",
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        log_config=None,
        timeout_graceful_shutdown=5,
    )


async def _add(settings: Settings, options: argparse.Namespace) -> None:
    services = Services(settings)
    password = getpass.getpass()
    try:
        await services.database.create_tables()
        clients = []
        if options.client:
            async with services.database.begin() as session:
                wanted = select(Client).where(Client.name == options.client)
                client = await session.scalar(wanted) or Client(name=options.client)
                session.add(client)
            clients = [client.id]
        role: Role = "admin" if options.add_admin else "client"
        await add_user(services, options.add_admin or options.add_user, password, role, clients)
    finally:
        await services.database.close()


if __name__ == "__main__":
    main()
