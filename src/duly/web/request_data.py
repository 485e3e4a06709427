"""The data of a request, validated: its query, and a body of JSON or of a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from duly.errors import PayloadError
from duly.model import payload

MAX_BODY_BYTES = 256 * 1024
MAX_FORM_FIELDS = 100
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: Request) -> bytes:
    """Read the whole body of a request.

    Raises:
        HTTPException: 413, it is larger than 256 KiB.
    """
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


async def read_form(request: Request) -> dict[str, str]:
    """Read the fields of a form; empty fields are left out.

    Raises:
        HTTPException: 413, it is too large; 415, it is not a form; 422, it cannot be parsed.
    """
    body = await read_body(request)
    if body and _content_type(request) != FORM:
        raise HTTPException(415, f"The body must be {FORM}.")
    try:
        pairs = parse_qsl(body.decode(), max_num_fields=MAX_FORM_FIELDS, errors="strict")
    except ValueError as error:
        raise HTTPException(422, f"The form is not valid: {error}") from error
    return dict(pairs)


async def read_json(request: Request) -> Any:
    """Read the JSON value of a body; an empty body is an empty object.

    Raises:
        HTTPException: 413, it is too large; 415, it is not JSON; 422, it cannot be parsed.
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
    """Validate the query parameters of a request; empty ones are left out.

    Raises:
        HTTPException: 422, a parameter is unknown or not valid.
    """
    given: dict[str, Any] = {}
    for name in request.query_params:
        field = model.model_fields.get(name)
        is_list = field is not None and get_origin(field.annotation) is list
        values = [value for value in request.query_params.getlist(name) if value]
        if values:
            given[name] = values if is_list else values[-1]
    return validate(given, model, "query")


def validate(data: Mapping[str, Any], model: type[Model], where: str) -> Model:
    """Return data as an instance of a model.

    Args:
        data: the values, by the names of the model's fields.
        model: the model.
        where: the part of the request that the data comes from, for the error message.

    Raises:
        HTTPException: 422, with a list of all values that are not valid.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [
            f"{'.'.join(map(str, fault['loc'])) or where}: {fault['msg']}" for fault in faults
        ]
        raise HTTPException(422, f"In the {where}: {'; '.join(problems)}.") from error


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
