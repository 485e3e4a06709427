"""The application's session, on the database that it shares with Duly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask, Response, has_request_context, request
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from sqlalchemy import JSON, Connection, MetaData, make_url
from sqlalchemy.orm import DeclarativeBase, registry

from apps.columns import Instant
from duly import prepare_engine
from duly.integrations.alembic import include_name

NOT_MIGRATED = (
    "The database does not have the tables of this version. Migrate it with "
    "`flask --app apps.sneaky_klaus.app db upgrade`, and start the application again."
)
_VERSION_TABLE = "klaus_version"
_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Declarative base of the application's tables."""

    registry: ClassVar = registry(
        metadata=MetaData(naming_convention=_NAMES),
        type_annotation_map={datetime: Instant, list[int]: JSON, list[str]: JSON},
    )


class RequestSession(Session):
    """A session that takes no lock while it serves a request that only reads."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Any:
        """See `Session.get_bind`."""
        engine = super().get_bind(*args, **kwargs)
        if has_request_context() and request.method in ("GET", "HEAD", "OPTIONS"):
            return engine.execution_options(duly_read_only=True)
        return engine


db = SQLAlchemy(model_class=Base, session_options={"class_": RequestSession})
migrate = Migrate(db=db, include_name=include_name, version_table=_VERSION_TABLE)


def init_database(app: Flask, url: str) -> None:
    """Connect an application to its database, and create the folder of a SQLite file."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite" and address.database not in (None, "", ":memory:"):
        # Flask-SQLAlchemy would resolve a relative path against the instance folder.
        file = Path(str(address.database)).resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        address = address.set(database=str(file))
    app.config["SQLALCHEMY_DATABASE_URI"] = address
    # Errors are logged, and the parameters of statements contain addresses.
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"hide_parameters": True}
    app.config["DULY_URL"] = address.render_as_string(hide_password=False)
    db.init_app(app)
    migrate.init_app(app, directory=str(Path(__file__).parent / "migrations"))
    with app.app_context():
        prepare_engine(db.engine)


def is_migrated(app: Flask) -> bool:
    """Return whether an application's database has the tables of the newest migration.

    No connection stays open, so the process may fork afterwards.
    """
    scripts = ScriptDirectory(app.extensions["migrate"].directory)
    with app.app_context():
        engine = db.engine.execution_options(duly_read_only=True)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": _VERSION_TABLE})
            found = set(context.get_current_heads())
        engine.dispose()
    return found == set(scripts.get_heads())


def refuse_requests_until_migrated(app: Flask) -> None:
    """Answer requests with 503 and the reason, instead of an error about a missing table.

    It does so before Flask looks for a session, which is in that database, too.
    """
    serve, migrated = app.wsgi_app, False

    def serve_if_migrated(environ: dict[str, Any], start_response: Any) -> Any:
        nonlocal migrated
        migrated = migrated or is_migrated(app)
        answer = serve if migrated else Response(NOT_MIGRATED, 503, mimetype="text/plain")
        return answer(environ, start_response)

    # Flask documents this assignment as the way to add WSGI middleware.
    app.wsgi_app = serve_if_migrated  # type: ignore[method-assign]


@contextmanager
def transaction() -> Iterator[None]:
    """Commit ``db.session`` at the end of the block; roll it back after an error."""
    try:
        yield
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise


def reading() -> AbstractContextManager[Connection]:
    """Return a connection that takes no lock, beside the transaction of ``db.session``."""
    return db.engine.execution_options(duly_read_only=True).connect()
