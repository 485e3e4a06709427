"""A client of the REST API: in this process for an application or a database, or over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx2

from duly.scheduler import Scheduler
from duly.web import Principal, web_app

API = "/api/v1"
TIMEOUT_S = 60.0
LARGEST_PAGE = 500
IN_PROCESS = "http://duly.invalid"
"""The address of the application in this process, to which no connection is made."""

Query = Mapping[str, Any]


class ApiError(Exception):
    """The API answered with a problem, or not at all.

    Attributes:
        status: the HTTP status; 0 if there was no answer.
        kind: the type of the problem, such as ``urn:duly:problem:unknown-task``.
    """

    def __init__(self, message: str, *, status: int = 0, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class Client:
    """Calls the REST API. It is a context manager that closes the connections.

    Args:
        base: the address of the API, without a trailing slash.
        key: the key to send, if there is one.
        transport: how to reach the API; default: over the network.
    """

    def __init__(
        self, base: str, *, key: str | None = None, transport: httpx2.AsyncBaseTransport | None
    ) -> None:
        self._runner = asyncio.Runner()
        headers = {"accept": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        self._http = httpx2.AsyncClient(
            base_url=base, headers=headers, transport=transport, timeout=TIMEOUT_S
        )

    @classmethod
    def remote(cls, address: str, key: str | None) -> Client:
        """Return a client of an application that serves its dashboard elsewhere.

        Args:
            address: the address of the dashboard, such as ``https://shop.example/duly``.
            key: an API key, if there is one.
        """
        return cls(address.rstrip("/").removesuffix(API) + API, key=key, transport=None)

    @classmethod
    def in_process(cls, scheduler: Scheduler, user: str) -> Client:
        """Return a client that calls the API of a scheduler here, as an administrator.

        Args:
            scheduler: the scheduler.
            user: who acts, for the audit trail.
        """
        # An application that logs to the terminal would otherwise show each call as a request.
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        principal = Principal(user, "admin")
        app = web_app(scheduler, access=lambda _request: principal)
        # A bearer token exempts from the checks that protect cookies; `access` ignores this one.
        return cls(IN_PROCESS + API, key="none", transport=httpx2.ASGITransport(app=app))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._runner.run(self._http.aclose())
        self._runner.close()

    def get(self, path: str, query: Query | None = None) -> Any:
        """Return what the API answers to a GET request; see `call`."""
        return self.call("GET", path, query=query)

    def post(self, path: str, body: Any = None, query: Query | None = None) -> Any:
        """Return what the API answers to a POST request; see `call`."""
        return self.call("POST", path, body=body, query=query)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request and return the JSON of the answer; ``None`` if it is empty.

        Args:
            method: the HTTP method.
            path: the path under ``/api/v1``; `segment` escapes a part of it.
            query: the parameters; those that are ``None`` or empty are left out.
            body: the JSON body; default: none.
            headers: further headers.

        Raises:
            ApiError: the API answered with a problem, or not at all.
        """
        response = self._send(method, path, query, body, headers)
        if response.is_success:
            return response.json() if response.content else None
        raise _problem(response)

    def etag(self, path: str) -> str:
        """Return the ``ETag`` of a resource.

        Raises:
            ApiError: see `call`.
        """
        response = self._send("GET", path, None, None, None)
        if not response.is_success:
            raise _problem(response)
        return str(response.headers.get("etag", ""))

    def pages(self, path: str, query: Query) -> Iterator[Any]:
        """Return all items of a list, page by page.

        Raises:
            ApiError: see `call`.
        """
        after: str | None = None
        while True:
            found = self.get(path, {**query, "limit": LARGEST_PAGE, "after": after})
            yield from found["items"]
            after = found["next"]
            if after is None:
                return

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Any,
        headers: Mapping[str, str] | None,
    ) -> httpx2.Response:
        given = {name: value for name, value in (query or {}).items() if not _is_empty(value)}
        request = self._http.build_request(
            method, path, params=given or None, headers=headers,
            **({} if body is None else {"json": body}),
        )  # fmt: skip
        try:
            return self._runner.run(self._http.send(request))
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            url = request.url.copy_with(query=None)
            raise ApiError(
                f"{url} does not answer: {str(error) or type(error).__name__}"
            ) from error


def segment(text: str) -> str:
    """Return a name as one segment of a path."""
    return quote(text, safe="")


def _is_empty(value: object) -> bool:
    return value is None or value is False or value in ("", (), [])


def _problem(response: httpx2.Response) -> ApiError:
    """Return the problem of an answer, as one line."""
    try:
        document = response.json()
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    title = str(document.get("title") or response.reason_phrase)
    text = " ".join(str(document.get("detail") or title).split())
    kind = str(document.get("type", ""))
    return ApiError(f"{text} ({response.status_code})", status=response.status_code, kind=kind)
