"""The pages of a Flask application: shared templates, static files, headers, limits and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    has_request_context,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from flask_wtf.csrf import CSRFError, CSRFProtect, generate_csrf
from jinja2 import StrictUndefined
from werkzeug.exceptions import Conflict, Forbidden, HTTPException, NotFound, ServiceUnavailable
from werkzeug.routing import IntegerConverter, Map

from apps.web import times
from apps.web.policy import CSRF_FIELD, FOREIGN, MAX_BODY, SECURITY_HEADERS
from duly import errors

_FOLDER = Path(__file__).parent
EXCEPTIONS: dict[type[errors.DulyError], type[HTTPException]] = {
    errors.NotFound: NotFound,
    errors.Conflict: Conflict,
    errors.DatabaseUnavailable: ServiceUnavailable,
}


def init_pages(app: Flask, folder: Path) -> None:
    """Give an application what the pages of all applications share.

    Its own templates come first, and link to others by ``url(name, …)``. The shared ones need the
    template ``base.html``, the endpoints ``home`` and ``sign-out``, and the variable ``user``.
    Call it before `duly.integrations.flask.init_app`, so that errors of Duly become pages.

    Args:
        app: an application that was created with ``static_folder=None``.
        folder: contains its folders ``templates`` and ``static``.
    """
    app.url_map.converters["int"] = _RowId
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY, WTF_CSRF_FIELD_NAME=CSRF_FIELD, WTF_CSRF_TIME_LIMIT=None
    )
    _share_templates(app)
    CSRFProtect(app)
    _serve(app, "static", folder / "static")
    _serve(app, "shared", _FOLDER / "static")
    app.after_request(_add_headers)
    app.register_error_handler(HTTPException, _show_error)
    app.register_error_handler(CSRFError, lambda _: _show_error(Forbidden(FOREIGN)))
    for kind in EXCEPTIONS:
        app.register_error_handler(kind, lambda error: _show_error(exception_for(error)))


class _RowId(IntegerConverter):
    """A whole number in a path; one that no database stores as an id leads to no page."""

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=2**31 - 1)


def _share_templates(app: Flask) -> None:
    app.jinja_options = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    app.register_blueprint(Blueprint("shared_templates", __name__, template_folder="templates"))
    app.jinja_env.globals.update(url=url_for, times=times)
    app.context_processor(lambda: {"csrf": generate_csrf()} if has_request_context() else {})


def _serve(app: Flask, name: str, folder: Path) -> None:
    """Serve the files of a folder at ``/name``."""

    def file(path: str) -> Response:
        return send_from_directory(folder, path)

    app.add_url_rule(f"/{name}/<path:path>", name, file)


def _add_headers(response: Response) -> Response:
    """Add the security headers, and keep personal pages out of caches."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if "etag" not in response.headers:
        response.headers.setdefault("cache-control", "no-store")
    return response


def _show_error(error: HTTPException) -> Any:
    """Return the page of an error, with the headers that belong to it."""
    response = error.get_response(request.environ)
    if error.response is None:
        response.set_data(
            render_template("problem.html", status=error.code, message=error.description)
        )
    return response


def exception_for(error: errors.DulyError) -> HTTPException:
    """Return the exception of HTTP for an error of one of the classes in `EXCEPTIONS`."""
    kind = next(found for known, found in EXCEPTIONS.items() if isinstance(error, known))
    return kind(str(error))
