"""Endpoints of a Flask application for programs, whose errors are problem details in JSON."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, abort, request
from flask_wtf.csrf import CSRFError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import Forbidden, HTTPException

from apps.web.flask_pages import EXCEPTIONS, exception_for
from apps.web.policy import FOREIGN


def respond_in_json(blueprint: Blueprint) -> None:
    """Let the errors of a blueprint be problem details (RFC 9457) instead of pages."""
    blueprint.register_error_handler(HTTPException, _problem)
    blueprint.register_error_handler(CSRFError, lambda _: _problem(Forbidden(FOREIGN)))
    for kind in EXCEPTIONS:
        blueprint.register_error_handler(kind, lambda error: _problem(exception_for(error)))


def prefers_page() -> bool:
    """Return whether the current request was sent by a form of a page, not by a program."""
    offered = ("application/json", "text/html")
    return request.accept_mimetypes.best_match(offered) == "text/html"


def json_fields() -> MultiDict[str, str]:
    """Return the fields of a JSON object, for a form; refuse every other body."""
    try:
        body = request.get_json()
    except RecursionError:
        abort(422, "The body is nested too deeply.")
    if not isinstance(body, dict):
        abort(422, "The body is not a JSON object.")
    return MultiDict({
        name: _field(name, value) for name, value in body.items() if value is not None
    })  # fmt: skip


def _field(name: str, value: Any) -> str:
    """Return a value as a form has it; refuse lists, objects, and half of a surrogate pair."""
    text = str(value)
    if isinstance(value, (list, dict)) or text.encode(errors="ignore").decode() != text:
        abort(422, f"The value of {name!r} is neither a text nor a number.")
    return text


def _problem(error: HTTPException) -> Any:
    response = error.get_response(request.environ)
    if error.response is None:
        body = {"status": error.code, "title": error.name, "detail": error.description}
        response.set_data(json.dumps(body))
        response.content_type = "application/problem+json"
    return response
