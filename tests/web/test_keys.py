"""Keys of the REST API (security rule 6)."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from duly import CreatedKey
from duly.store import tables
from duly.web import Principal, web_app
from duly.web.app import ROUTES
from duly.web.routes import ApiRoute, GuardedRoute
from tests.web.requests import path_of, send
from tests.web.site import API, TOKEN, Client, Site

GUARDED = [route for route in ROUTES if route.role is not None]
EVERY = pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{route.method} {route.path}")


def program(site: Site, key: str) -> TestClient:
    """A program with a key, which sends no cookie and no header of a browser."""
    return TestClient(
        site.app,
        base_url="http://localhost",
        headers={"Authorization": f"Bearer {key}"},
        follow_redirects=False,
        raise_server_exceptions=False,
    )


@pytest.fixture
def key(site: Site) -> CreatedKey:
    """A key of an operator."""
    return site.scheduler.create_key("deploy", role="operator", actor="ana")


def test_a_key_is_shown_once_and_stored_as_its_digest(site: Site, client: Client) -> None:
    """Neither lists, nor events, nor any table has it."""
    answer = client.do("/keys", {"name": "deploy", "role": "viewer", "rate": 60})
    assert answer.status_code == 201, answer.text
    secret = answer.json()["key"]
    assert secret.startswith("duly_")
    assert len(secret) == len("duly_") + 43
    with site.scheduler.store.read() as conn:
        for table in tables.metadata.sorted_tables:
            assert secret not in repr(conn.execute(select(table)).all()), table.name
        digests = conn.execute(select(tables.key.c.digest)).scalars().all()
    assert digests == [hashlib.sha256(secret.encode()).hexdigest()]
    listed = client.get(f"{API}/keys")
    assert secret not in listed.text
    assert digests[0] not in listed.text
    assert [item["name"] for item in listed.json()["items"]] == ["deploy"]
    assert secret not in client.get(f"{API}/events").text
    created = site.scheduler.create_key("other", role="viewer")
    assert created.key not in repr(created)


def test_a_key_has_its_role_and_its_name_in_the_audit_trail(site: Site, key: CreatedKey) -> None:
    """An operator may pause, but not remove; a program needs no CSRF token."""
    client = program(site, key.key)
    assert client.get(f"{API}/jobs").status_code == 200
    assert client.post(f"{API}/jobs/stock/pause", json={}).status_code == 200
    assert site.scheduler.events(kind="job.paused")[-1].actor == "key:deploy"
    assert client.delete(f"{API}/jobs/stock").status_code == 403
    assert client.get(f"{API}/keys").status_code == 403


def test_a_key_is_restricted_to_its_owners(site: Site) -> None:
    """As a principal is."""
    site.scheduler.edit("stock", owner="acme")
    client = program(site, site.scheduler.create_key("a", role="admin", owners=["acme"]).key)
    assert [job["id"] for job in client.get(f"{API}/jobs").json()["items"]] == ["stock"]
    assert client.get(f"{API}/jobs/letter").status_code == 404
    assert client.post(f"{API}/keys", json={"name": "b", "role": "admin"}).status_code == 403


@pytest.fixture(scope="module")
def invalid_keys(shared_site: Site) -> dict[str, str]:
    """A key for each reason for which it is invalid."""
    scheduler = shared_site.scheduler
    expired, revoked, valid = (
        scheduler.create_key(name, role="admin", expires_in=60 + 60 * (name != "expired"))
        for name in ("expired", "revoked", "valid")
    )
    scheduler.revoke_key(revoked.record.id)
    shared_site.clock.advance(60)
    return {
        "expired": expired.key, "revoked": revoked.key, "mutilated": valid.key[:-1],
        "unknown": "duly_" + "x" * 43,
    }  # fmt: skip


@EVERY
@pytest.mark.parametrize("state", ["expired", "revoked", "unknown", "mutilated"])
def test_no_route_admits_an_invalid_key(
    shared_site: Site, invalid_keys: dict[str, str], route: GuardedRoute, state: str
) -> None:
    """It is refused with 401, by every route, and nothing changes."""
    before = shared_site.scheduler.events(limit=1000)
    client = program(shared_site, invalid_keys[state])
    answer = client.request(route.method, path_of(shared_site, route))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert shared_site.scheduler.events(limit=1000) == before
    stored = shared_site.scheduler.keys()
    assert [key.last_used_at for key in stored] == [None] * 3


def test_a_key_is_valid_until_it_expires(site: Site) -> None:
    """And the answer tells that it has expired."""
    created = site.scheduler.create_key("k", role="viewer", expires_in=60)
    client = program(site, created.key)
    site.clock.advance(59)
    assert client.get(f"{API}/jobs").status_code == 200
    site.clock.advance(1)
    answer = client.get(f"{API}/jobs")
    assert (answer.status_code, answer.json()["detail"]) == (401, "The key 'k' has expired.")


def test_a_key_is_revoked_at_once_and_for_good(site: Site, client: Client, key: CreatedKey) -> None:
    """Revoking it again changes nothing; an unknown id is not found."""
    user = program(site, key.key)
    assert user.get(f"{API}/jobs").status_code == 200
    headers = {"X-CSRF-Token": TOKEN, "X-Duly-Reason": "it leaked", "X-Request-ID": "r-7"}
    for _ in range(2):
        answer = client.delete(f"{API}/keys/{key.record.id}", headers=headers)
        assert answer.status_code == 204, answer.text
    assert user.get(f"{API}/jobs").status_code == 401
    (event,) = site.scheduler.events(kind="key.revoked")
    assert (event.actor, event.reason, event.request_id) == ("ana", "it leaked", "r-7")
    for unknown in ("none", key.record.id[:-1] + "x"):
        answer = client.delete(f"{API}/keys/{unknown}", headers=headers)
        assert answer.status_code == 404, answer.text


def test_the_last_use_of_a_key_is_stored_once_a_minute(site: Site, key: CreatedKey) -> None:
    """Requests do not write, except for the first one of a minute."""
    client, used = program(site, key.key), []
    for seconds in (0, 30, 29, 1, 5):
        site.clock.advance(seconds)
        assert client.get(f"{API}/tasks").status_code == 200
        used.append(site.scheduler.keys()[0].last_used_at)
    assert used[0] == used[1] == used[2]
    assert used[3] == used[4] != used[0]


def test_a_key_has_as_many_requests_as_its_rate_allows(site: Site) -> None:
    """Then 429 with the seconds to wait; requests come back evenly; other keys do not suffer."""
    client = program(site, site.scheduler.create_key("slow", role="viewer", rate=6).key)
    other = program(site, site.scheduler.create_key("other", role="viewer", rate=6).key)
    statuses = [client.get(f"{API}/tasks").status_code for _ in range(7)]
    assert statuses == [200] * 6 + [429]
    answer = client.get(f"{API}/tasks")
    assert answer.headers["retry-after"] == "10"
    assert answer.headers["content-type"] == "application/problem+json"
    assert "6 requests per minute" in answer.json()["detail"]
    assert other.get(f"{API}/tasks").status_code == 200
    site.clock.advance(10)
    assert [client.get(f"{API}/tasks").status_code for _ in range(2)] == [200, 429]


def test_a_key_of_the_host_may_begin_as_ours(site: Site) -> None:
    """A token that is not stored is passed to ``access``."""

    def access(request: Any) -> Principal | None:
        given = request.headers.get("authorization")
        return Principal("host") if given == "Bearer duly_of_the_host" else None

    client = TestClient(web_app(site.scheduler, access=access), base_url="http://localhost")
    for token, status in (("duly_of_the_host", 200), ("duly_", 401), ("", 401)):
        answer = client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "role": "viewer"}, {"name": "a\nb", "role": "viewer"},
        {"name": "k", "role": "root"}, {"name": "k"}, {"name": "k", "role": "viewer", "rate": 0},
        {"name": "k", "role": "viewer", "expires_in": -1},
        {"name": "k", "role": "viewer", "owners": "acme"}, {"name": "x" * 181, "role": "viewer"},
    ],
)  # fmt: skip
def test_a_key_that_is_not_valid_is_not_created(client: Client, site: Site, body: Any) -> None:
    """The answer is 422, and tells what to write."""
    assert client.do("/keys", body).status_code == 422
    assert site.scheduler.keys() == []


WITHOUT_EVENT = {"tick"}
"""What a tick does is Duly's own work."""

UNSAFE = [route for route in GUARDED if route.method != "GET"]


@pytest.mark.parametrize("route", UNSAFE, ids=lambda route: f"{route.method} {route.path}")
def test_every_change_is_on_record_with_actor_reason_and_request(
    site: Site, route: GuardedRoute
) -> None:
    """Security rule 11: whatever a route changes, the trail tells who did it, why and by what."""
    site.forward(60)  # a run fails
    known = {event.id for event in site.scheduler.events(limit=1000)}
    before = contents(site)
    client = site.client("admin")
    client.headers.update({"X-Request-ID": "r-7", "X-Duly-Reason": "why"})
    answer = send(client, site, route)
    assert answer.headers["x-request-id"] == "r-7"
    events = [event for event in site.scheduler.events(limit=1000) if event.id not in known]
    by_ana = [event for event in events if event.actor is not None]
    own_reason = not isinstance(route, ApiRoute) or answer.request.content.count(b"reason")
    for event in by_ana:
        assert (event.actor, event.request_id) == ("ana", "r-7")
        assert event.reason == "why" or own_reason
    if contents(site) != before and route.endpoint.__name__ not in WITHOUT_EVENT:
        assert by_ana


def contents(site: Site) -> dict[str, list[str]]:
    """Everything that is stored, except for the trail itself."""
    with site.scheduler.store.read() as conn:
        return {
            table.name: sorted(map(repr, conn.execute(select(table))))
            for table in tables.metadata.sorted_tables
            if table is not tables.event
        }


@pytest.mark.parametrize("given", ["a b", "x" * 129, "ä", "", "a\tb"])
def test_an_odd_request_id_is_replaced(client: Client, given: str) -> None:
    """It would be written to logs and to the audit trail."""
    answer = client.get(f"{API}/jobs", headers={b"X-Request-ID": given.encode()})
    made = answer.headers["x-request-id"]
    assert made != given
    assert len(made) == 32
    missing = client.get(f"{API}/jobs/none")
    assert missing.status_code == 404
    assert missing.headers["x-request-id"] != made
