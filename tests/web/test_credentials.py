"""Helpers that tell who sends a request: tokens, passwords, a dependency of FastAPI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.testclient import TestClient

from duly.errors import ConfigurationError
from duly.web import Principal, basic, bearer, dependency, hash_password, web_app
from duly.web.credentials import FAILURES_PER_MINUTE, password_matches
from tests.web.site import Site

TOKEN = "a-token-of-a-program"


def client_of(site: Site, access: Any) -> TestClient:
    return TestClient(
        web_app(site.scheduler, access=access),
        base_url="http://localhost",
        raise_server_exceptions=False,
    )


def test_a_token_admits_a_program(site: Site) -> None:
    """One token with a role, or several, each with its principal."""
    one = client_of(site, bearer(TOKEN, role="operator"))
    many = client_of(site, bearer({TOKEN: Principal("ci", "operator"), TOKEN * 2: Principal("x")}))
    for client, name in ((one, "program"), (many, "ci")):
        headers = {"Authorization": f"bearer {TOKEN}"}
        assert client.post("/api/v1/jobs/stock/pause", headers=headers).status_code == 200
        assert site.scheduler.events(newest=True)[0].actor == name
        site.scheduler.resume("stock")
        for wrong in (TOKEN[:-1], TOKEN + "x", "", "ä" * 16):
            given = {b"Authorization": f"Bearer {wrong}".encode()}
            answer = client.get("/api/v1/jobs", headers=given)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert client.get("/api/v1/jobs").status_code == 401


@pytest.mark.parametrize("tokens", ["", "short", {}, {"short": Principal("x")}])
def test_a_short_token_is_refused(tokens: Any) -> None:
    """It could be guessed."""
    with pytest.raises(ConfigurationError, match="at least 16"):
        bearer(tokens)


def test_a_password_admits_a_person(site: Site) -> None:
    """The browser asks for it; an unknown name is refused as a wrong password is."""
    client = client_of(site, basic({"ana": (hash_password("açaí:x"), Principal("ana"))}))
    assert client.get("/jobs", auth=("ana", "açaí:x")).status_code == 200
    assert client.get("/jobs", auth=("ana", "açaí:x")).status_code == 200
    answers = [client.get("/jobs", auth=auth) for auth in (("ana", "acai:x"), ("bo", "açaí:x"))]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].text == answers[1].text
    assert answers[0].headers["www-authenticate"].startswith("Basic ")
    for header in ("Basic", "Basic ???", "Basic YW5h", "Basic /w==", "Bearer YW5hOng="):
        assert client.get("/jobs", headers={"Authorization": header}).status_code == 401


def test_guesses_are_slowed_down_by_name(site: Site) -> None:
    """With 429 and the time to wait; whoever is signed in already does not notice."""
    access = basic({name: (hash_password(name * 2), Principal(name)) for name in ("ana", "bo")})
    client = client_of(site, access)
    assert client.get("/jobs", auth=("ana", "anaana")).status_code == 200
    statuses = [
        client.get("/jobs", auth=("ana", f"guess {n}")).status_code
        for n in range(FAILURES_PER_MINUTE + 1)
    ]
    assert statuses == [401] * FAILURES_PER_MINUTE + [429]
    assert int(client.get("/jobs", auth=("ana", "x")).headers["retry-after"]) > 0
    assert client.get("/jobs", auth=("ana", "anaana")).status_code == 200
    assert client.get("/jobs", auth=("bo", "bobo")).status_code == 200


def test_a_password_is_stored_as_a_salted_hash() -> None:
    """Two hashes of one password differ; a password in place of a hash is refused."""
    first, second = hash_password("secret"), hash_password("secret")
    assert first != second
    assert "secret" not in first
    assert password_matches("secret", first)
    assert not password_matches("Secret", first)
    with pytest.raises(ConfigurationError, match="not a hash"):
        basic({"ana": ("secret", Principal("ana"))})


def test_a_dependency_of_the_host_tells_who_sends_a_request(site: Site) -> None:
    """With its own dependencies and what it closes; its errors are the host's own."""
    closed: list[str] = []
    scheme = HTTPBearer(auto_error=False)

    def session() -> Iterator[str]:
        yield "session"
        closed.append("session")

    async def get_current_user(
        opened: str = Depends(session),
        credentials: HTTPAuthorizationCredentials | None = Depends(scheme),  # noqa: B008
    ) -> dict[str, str]:
        assert opened == "session"
        if credentials is None:
            raise HTTPException(401)
        if credentials.credentials == "locked":
            raise HTTPException(403, "Your account is locked.")
        return {"name": credentials.credentials}

    def to_principal(user: dict[str, str]) -> Principal | None:
        return Principal(user["name"], "operator") if user["name"] != "guest" else None

    host = FastAPI()
    access = dependency(get_current_user, to_principal)
    host.mount("/duly", web_app(site.scheduler, access=access))
    client = TestClient(host, base_url="http://localhost")
    for token, status in (("ana", 200), ("guest", 401), ("locked", 403), (None, 401)):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = client.post("/duly/api/v1/jobs/stock/pause", json={}, headers=headers)
        assert answer.status_code == status, answer.text
    assert site.scheduler.events(newest=True)[0].actor == "ana"
    assert closed == ["session"] * 2
