"""The settings of everyone: the appearance, what is kept how long, and the versions."""

from __future__ import annotations

from starlette.responses import Response

from duly.model.policy import KEEP_DAYS, KEEP_DAYS_OTHERWISE
from duly.model.retention import KEEP_DEAD, KEEP_EVENTS, KEEP_SENT
from duly.model.run import RUN_STATES, TERMINAL
from duly.model.version import VERSION
from duly.model.zone_data import tzdb_location, tzdb_version
from duly.web.context import Context
from duly.web.dashboard.rendering import render
from duly.web.routes import Routes

DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB or MySQL"}

routes = Routes(tag=None)


@routes.get("/settings", scope="shared")
async def show_settings(context: Context) -> Response:
    """Show the appearance, what is kept how long, and the versions."""
    database = context.scheduler.store.dialect.name
    defaults = context.scheduler.settings.defaults
    days = {
        state: KEEP_DAYS.get(state, KEEP_DAYS_OTHERWISE) if defaults.keep is None else defaults.keep
        for state in RUN_STATES
        if state in TERMINAL
    }
    return await render(
        context,
        "settings.html",
        refresh=30,
        keeps=days,
        own_default=defaults.keep is not None,
        keep_events=KEEP_EVENTS.days,
        keep_sent=KEEP_SENT.days,
        keep_dead=KEEP_DEAD.days,
        versions=[
            ("Duly", VERSION),
            ("Application", _application(context)),
            ("Database", DATABASES.get(database, database)),
            ("Time zones", f"{tzdb_version()}, from {tzdb_location()}"),
        ],
    )


def _application(context: Context) -> str:
    release = context.scheduler.settings.release
    return f"{release.app} {release.version}".strip()
