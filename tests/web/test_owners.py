"""Owners in the web application (security rule 12): every route by own, foreign and no restriction.

The matrix is generated from the routes and from the OpenAPI document; a new route joins by itself,
and refuses restricted principals until it states a scope.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from duly import every
from duly.errors import ConfigurationError
from duly.web import Principal
from duly.web.app import ROUTES
from duly.web.openapi import describe_api
from duly.web.routes import ApiRoute, GuardedRoute
from tests.web.requests import BODIES, send
from tests.web.site import API, MOUNT, TOKEN, Client, Site

GUARDED = [route for route in ROUTES if route.role is not None]
EVERY = pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{route.method} {route.path}")
DONE = {200, 201, 202, 204, 303}


@pytest.fixture
def shop(site: Site) -> Site:
    """A site whose job ``stock`` belongs to acme, and ``vault`` to bolt."""
    site.scheduler.edit("stock", owner="acme")
    site.scheduler.add("greet", every(seconds=10), id="vault", owner="bolt")
    site.forward(10)
    site.forward(10)
    return site


def stored(site: Site) -> tuple[Any, ...]:
    scheduler = site.scheduler
    return scheduler.events(limit=1000), scheduler.jobs(), scheduler.runs(limit=1000)


def test_the_document_states_the_role_and_the_scope_of_every_operation() -> None:
    """A client can know before it asks; none is missing."""
    document = describe_api(ROUTES)
    operations = {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    routes = {(route.method, route.path): route for route in ROUTES if isinstance(route, ApiRoute)}
    assert operations.keys() == routes.keys()
    for key, route in routes.items():
        stated = operations[key]
        assert stated["x-duly-scope"] == route.scope, key
        assert stated.get("x-duly-role") == route.role, key


@EVERY
def test_no_route_reaches_what_is_another_owners(shop: Site, route: GuardedRoute) -> None:
    """An item is not found, lists leave it out, bulk changes pass it by, the rest is refused."""
    before = stored(shop)
    answer = send(shop.client("admin", "core"), shop, route)
    expected = {"item": {404}, "all": {403}, "own": {*DONE, 403}, "shared": {200, 303}}[route.scope]
    assert answer.status_code in expected, answer.text
    assert stored(shop) == before
    if route.scope != "shared":
        assert "vault" not in answer.text
        said = answer.text.replace("/stock", "").replace("'stock'", "")
        assert "stock" not in said or route.scope == "item"


@EVERY
def test_every_route_serves_what_is_ones_own(shop: Site, route: GuardedRoute) -> None:
    """A restricted admin reads and changes it, and never sees or changes what is another's."""
    vault = shop.scheduler.job("vault")
    answer = send(shop.client("admin", "acme"), shop, route)
    if route.scope == "all":
        assert answer.status_code == 403
    elif not route.creates:
        assert answer.status_code in {*DONE, 409}, answer.text
    if route.scope != "shared":
        assert "vault" not in answer.text
    assert shop.scheduler.job("vault") == vault


def test_a_foreign_id_is_answered_as_one_that_does_not_exist(shop: Site) -> None:
    """In the same words: neither the id nor similar ones can be found out."""
    client = shop.client("admin", "acme")
    foreign = client.get(f"{API}/jobs/vault")
    missing = client.get(f"{API}/jobs/vaultz")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["detail"].replace("vault", "") == missing.json()["detail"].replace(
        "vaultz", ""
    )
    run_id = shop.run_of("vault")
    unknown = run_id[:-4] + "0000"
    answers = [client.get(f"{API}/runs/{each}") for each in (run_id, unknown, "x", "a%00")]
    assert [answer.status_code for answer in answers] == [404] * 4
    details = {re.sub(r"'[\w-]+'", "", answer.json()["detail"]) for answer in answers[:2]}
    assert len(details) == 1


def test_lists_contain_exactly_what_is_ones_own(shop: Site) -> None:
    """Jobs, runs, events, dead letters and the stream, in the API and on the pages."""
    client = shop.client("viewer", "bolt")
    assert [job["id"] for job in client.api("/jobs")["items"]] == ["vault"]
    runs = client.api("/runs")["items"]
    assert {(run["job_id"], run["owner"]) for run in runs} == {("vault", "bolt")}
    assert {event["job_id"] for event in client.api("/events")["items"]} == {"vault"}
    assert client.api("/dead-letters")["items"] == []
    streamed = client.get(f"{API}/stream", params={"follow": "false", "after": "0"}).text
    assert '"job_id":"vault"' in streamed.replace(" ", "")
    assert "stock" not in streamed
    page = client.page("/jobs")
    assert "vault" in page
    assert "stock" not in page
    assert [job["id"] for job in shop.client("viewer", "acme.bolt").api("/jobs")["items"]] == [
        "stock", "vault",
    ]  # fmt: skip


def create(client: Client, **members: Any) -> Any:
    body = {**BODIES["create_job"], **members}
    return client.post(f"{API}/jobs", json=body, headers={"X-CSRF-Token": TOKEN})


@pytest.mark.parametrize("options", [{}, {"owner": "acme"}, {"owner": None}])
def test_who_is_restricted_creates_only_what_is_ones_own(shop: Site, options: Any) -> None:
    """A job without an owner, or of another one, is refused."""
    before, client = stored(shop), shop.client("admin", "bolt")
    answer = create(client, options=options)
    assert answer.status_code == 403, answer.text
    assert "'bolt'" in answer.json()["detail"]
    assert stored(shop) == before
    answer = create(client, options={"owner": "bolt"})
    assert answer.status_code == 201, answer.text
    assert shop.scheduler.job("new").owner == "bolt"


def test_a_job_cannot_be_given_away_or_taken(shop: Site) -> None:
    """Neither by a change, nor by replacing it."""
    client, headers = shop.client("admin", "bolt"), {"X-CSRF-Token": TOKEN}
    before = stored(shop)
    for owner in ("acme", None):
        answer = client.patch(
            f"{API}/jobs/vault", json={"options": {"owner": owner}}, headers=headers
        )
        assert answer.status_code == 403, answer.text
    for job_id, options in (("vault", {}), ("stock", {"owner": "bolt"})):
        body = {**BODIES["replace_job"], "options": options}
        answer = client.put(f"{API}/jobs/{job_id}", json=body, headers=headers)
        assert answer.status_code == (403 if job_id == "vault" else 404), answer.text
    assert stored(shop) == before


def test_a_job_cannot_run_after_another_owners(shop: Site) -> None:
    """It would tell when that one runs, and how it ends."""
    before, client = stored(shop), shop.client("admin", "bolt")
    for given in (
        {"after": ["stock"], "trigger": None},
        {"trigger": {"kind": "after", "parents": ["stock"], "on": "success"}},
    ):
        members = {name: value for name, value in given.items() if value is not None}
        body = {"task": "greet", "id": "new", "options": {"owner": "bolt"}, **members}
        answer = client.post(f"{API}/jobs", json=body, headers={"X-CSRF-Token": TOKEN})
        assert answer.status_code == 404, answer.text
    assert stored(shop) == before


def test_who_takes_an_id_over_sees_nothing_of_the_former_job(shop: Site) -> None:
    """No runs, no newest run, no missed times, no events."""
    scheduler = shop.scheduler
    scheduler.remove("vault")
    shop.clock.advance(1)
    scheduler.add("greet", every(hours=1), id="vault", owner="acme")
    client = shop.client("admin", "acme")
    job = client.api("/jobs/vault")
    assert job["last_run"] is None
    assert client.api("/jobs/vault/runs")["items"] == []
    assert client.api("/jobs/vault/missed") == []
    events = client.api("/events", job="vault")["items"]
    assert [event["kind"] for event in events] == ["job.added"]
    assert client.get(f"{MOUNT}/jobs/vault").status_code == 200


@pytest.mark.parametrize("owners", ["acme", [5]])
def test_owners_of_a_principal_are_a_list_of_names(owners: Any) -> None:
    """A name alone would be taken for its letters."""
    with pytest.raises(ConfigurationError, match="give a list of names"):
        Principal("ana", owners=owners)
    assert Principal("ana", owners=["acme"]).owners == ("acme",)
