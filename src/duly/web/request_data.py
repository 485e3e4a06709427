"""What a request brings, checked: its query, and a bounded body of JSON or of a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from duly.errors import PayloadError
from duly.model import payload

MAX_BODY = 256 * 1024
MAX_FIELDS = 100
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: Request) -> bytes:
    """The whole body.

    Raises:
        HTTPException: 413, more than 256 KiB.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise HTTPException(413, f"The body is larger than {MAX_BODY} bytes.")
        parts.append(part)
    return b"".join(parts)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; an empty field is as good as none.

    Raises:
        HTTPException: 413, 415 or 422.
    """
    body = await read_body(request)
    if body and _content_type(request) != FORM:
        raise HTTPException(415, f"The body must be {FORM}.")
    try:
        pairs = parse_qsl(body.decode(), max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise HTTPException(422, f"The form cannot be read: {error}") from error
    return dict(pairs)


async def read_json(request: Request) -> Any:
    """The body's JSON value; an empty body is an empty object.

    Raises:
        HTTPException: 413, 415 or 422.
    """
    body = await read_body(request)
    if not body:
        return {}
    if _content_type(request) != JSON:
        raise HTTPException(415, f"The body must be {JSON}.")
    try:
        return payload.decode(body)
    except PayloadError as error:
        raise HTTPException(422, f"The body is {error}.") from error


def read_query(request: Request, model: type[Model]) -> Model:
    """The query's parameters as ``model`` describes them; unknown ones are refused.

    Raises:
        HTTPException: 422.
    """
    given: dict[str, Any] = {}
    for name in request.query_params:
        field = model.model_fields.get(name)
        many = field is not None and get_origin(field.annotation) is list
        values = [value for value in request.query_params.getlist(name) if value]
        if values:  # an empty field of a form is as good as none
            given[name] = values if many else values[-1]
    return check(given, model, "query")


def check(given: Mapping[str, Any], model: type[Model], where: str) -> Model:
    """``given`` as a ``model``.

    Raises:
        HTTPException: 422, naming everything that does not fit.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [
            f"{'.'.join(map(str, fault['loc'])) or where}: {fault['msg']}" for fault in faults
        ]
        raise HTTPException(422, f"In the {where}: {'; '.join(problems)}.") from error


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
