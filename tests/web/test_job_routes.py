"""The REST API creates, replaces, changes, resets, backfills and removes jobs."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from duly import every
from duly.model.policy import JobOptions
from duly.web.api.job_bodies import OptionsBody
from tests.web.site import API, TOKEN, Client, Site

HEADERS = {"X-CSRF-Token": TOKEN}
HOSTILE = [
    "<script>alert(1)</script>",
    "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "line\nbreak",
    "nul\x00",
    "lone \ud800",
    "..",
    "a" * 192,
    "",
]
FINE = ["\N{PILE OF POO}" * 191, "<b>bold</b>", "a/b?c#d", "שלום", "日本 50%"]


def put(client: Client, path: str, body: Any, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.put(API + path, json=body, headers=HEADERS | named)


def patch(client: Client, path: str, body: Any, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.patch(API + path, json=body, headers=HEADERS | named)


@pytest.mark.parametrize(
    ("trigger", "kind", "text"),
    [
        ("0 9 * * mon-fri", "cron", "at 09:00 on Monday to Friday, Europe/Madrid time"),
        ("every 5 minutes", "every", "every 5 minutes"),
        ("FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0", "rrule", None),
        ("at 2026-12-24T18:00+01:00", "at", None),
        ({"kind": "every", "seconds": 90}, "every", "every 1 minute 30 seconds"),
    ],
)
def test_a_job_is_created(
    site: Site, client: Client, trigger: Any, kind: str, text: str | None
) -> None:
    """201 with its location and ETag; the trigger may be text or JSON."""
    body = {
        "id": "new", "task": "greet", "trigger": trigger, "args": {"name": "ana"},
        "tags": ["b", "a"], "options": {"retry": 3, "max_running": 2, "overlap": "queue"},
    }  # fmt: skip
    answer = client.do("/jobs", body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{API}/jobs/new"
    assert answer.headers["etag"] == '"1"'
    job = answer.json()
    assert (job["trigger"]["kind"], job["origin"]) == (kind, "api")
    assert text in (None, job["trigger"]["text"])
    assert (job["tags"], job["args"]) == (["a", "b"], {"name": "ana"})
    assert job["options"]["retry"]["attempts"] == 3
    assert client.get(answer.headers["location"]).json() == job
    (event,) = client.api("/events", job="new")["items"]
    assert (event["kind"], event["actor"]) == ("job.added", "ana")


def test_a_job_is_created_paused(client: Client) -> None:
    """With a reason, which the job then shows; without an id, it gets one."""
    body = {"task": "greet", "trigger": "every hour", "paused": "not yet"}
    job = client.do("/jobs", body).json()
    assert (job["state"], job["paused_reason"]) == ("paused", "not yet")
    assert len(job["id"]) > 10


def test_a_job_runs_after_others(client: Client) -> None:
    """Instead of a trigger, the ids of its parents."""
    body = {"id": "child", "task": "greet", "after": ["stock"], "on": "failure"}
    assert client.do("/jobs", body).json()["after"] == ["stock"]


@pytest.mark.parametrize(
    ("changes", "status", "named"),
    [
        ({"id": "stock"}, 409, "'stock'"),
        ({"task": "greeet"}, 422, "did you mean 'greet'"),
        ({"trigger": "0 99 * * *"}, 422, "hour"),
        ({"trigger": "now and then"}, 422, "write a cron expression"),
        ({"trigger": "every blue moon"}, 422, "not an interval"),
        ({"trigger": "at noon"}, 422, "not an instant"),
        ({"trigger": {"kind": "corn"}}, 422, "did you mean 'cron'"),
        ({"trigger": None}, 422, "give a trigger"),
        ({"after": ["stock"]}, 422, "either a trigger or after"),
        ({"tz": "Europe/Madird"}, 422, "Europe/Madird"),
        ({"trigger": {"kind": "every", "seconds": 9}, "tz": "UTC"}, 422, "tz"),
        ({"args": {"naem": "ana"}}, 422, "did you mean 'name'"),
        ({"args": {"name": "x" * 70_000}}, 422, "65536"),
        ({"options": {"retries": 3}}, 422, "options.retries"),
        ({"options": {"ping": "http://10.0.0.1/"}}, 422, "options.ping"),
        ({"options": {"timeout": -1}}, 422, "options.timeout"),
        ({"options": {"start": "2026-01-01T00:00:00"}}, 422, "options.start"),
        ({"options": {"start": 5}}, 422, "RFC 3339"),
        ({"options": {"priority": "7"}}, 422, "options.priority"),
        ({"tags": "mail"}, 422, "tags"),
        ({"origin": "code"}, 422, "origin"),
    ],
)
def test_a_job_that_is_not_valid_is_refused(
    site: Site, client: Client, changes: dict[str, Any], status: int, named: str
) -> None:
    """With what is wrong and where; nothing is stored."""
    before = site.scheduler.events()
    body = {"id": "new", "task": "greet", "trigger": "every hour", **changes}
    answer = client.do("/jobs", body)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["detail"]
    assert site.scheduler.events() == before


@pytest.mark.parametrize("name", HOSTILE[2:])
def test_names_that_cannot_be_stored_are_refused(site: Site, client: Client, name: str) -> None:
    """As an id, a tag, a task or a queue: 422, and nothing is stored."""
    before = site.scheduler.events()
    job = {"id": "new", "task": "greet", "trigger": "every hour"}
    bodies: list[dict[str, Any]] = [job | {"id": name}, job | {"task": name}]
    if name != "..":  # which is no problem where no URL contains it
        bodies += [job | {"tags": [name]}, job | {"options": {"queue": name}}]
    for body in bodies:
        answer = client.post(
            f"{API}/jobs",
            content=json.dumps(body),  # which can write a lone surrogate
            headers=HEADERS | {"Content-Type": "application/json"},
        )
        assert answer.status_code == 422, body
    assert site.scheduler.events() == before


@pytest.mark.parametrize("name", FINE)
def test_any_printable_name_is_stored_as_it_is(client: Client, name: str) -> None:
    """Markup, emoji and other scripts are text, up to 191 characters."""
    body = {"id": name, "task": "greet", "trigger": "every hour", "tags": [name]}
    answer = client.do("/jobs", body)
    assert answer.status_code == 201, answer.text
    assert client.get(answer.headers["location"]).json()["id"] == name
    assert [job["id"] for job in client.api("/jobs", tag=name)["items"]] == [name]
    assert client.delete(f"{API}/jobs/{quote(name, safe='')}", headers=HEADERS).status_code == 204


def test_a_stale_etag_changes_nothing(site: Site, client: Client) -> None:
    """412 for PATCH, PUT and DELETE; the current ETag is accepted."""
    site.scheduler.add("greet", every(hours=1), id="mine")
    old = client.get(f"{API}/jobs/mine").headers["etag"]
    new = patch(client, "/jobs/mine", {"tags": ["x"]}, If_Match=old).headers["etag"]
    assert (old, new) == ('"1"', '"2"')
    before = client.api("/jobs/mine")
    body = {"task": "greet", "trigger": "every 2 hours"}
    headers = HEADERS | {"If-Match": old}
    for answer in (
        patch(client, "/jobs/mine", {"tags": ["y"]}, If_Match=old),
        put(client, "/jobs/mine", body, If_Match=old),
        client.delete(f"{API}/jobs/mine", headers=headers),
        patch(client, "/jobs/mine", {"tags": ["y"]}, If_Match='W/"2"'),
        put(client, "/jobs/absent", body, If_Match='"1"'),
    ):
        assert answer.status_code == 412
        assert answer.headers["content-type"] == "application/problem+json"
    assert client.api("/jobs/mine") == before
    assert client.get(f"{API}/jobs/absent").status_code == 404
    assert put(client, "/jobs/mine", body, If_Match=new).status_code == 200
    assert client.delete(f"{API}/jobs/mine", headers=HEADERS | {"If-Match": "*"}).status_code == 204


def test_a_job_is_replaced_as_a_whole(site: Site, client: Client) -> None:
    """What the body does not name has its default again; ``If-None-Match: *`` only creates."""
    site.scheduler.add(
        "greet", every(hours=1), id="mine", args={"name": "x"}, tags=["t"], priority=5
    )
    body = {"task": "greet", "trigger": "every hour"}
    assert put(client, "/jobs/mine", body, If_None_Match="*").status_code == 412
    job = put(client, "/jobs/mine", body).json()
    assert (job["args"], job["tags"], job["options"]["priority"]) == ({}, [], 0)
    assert put(client, "/jobs/other", body, If_None_Match="*").json()["revision"] == 1


def test_a_job_in_code_is_overridden_and_reset(client: Client) -> None:
    """It cannot be replaced; PATCH overrides fields, and reset undoes that."""
    body = {"task": "count_stock", "trigger": "every hour"}
    assert put(client, "/jobs/stock", body).status_code == 409
    job = patch(client, "/jobs/stock", {"trigger": "every hour", "options": {"priority": 3}}).json()
    assert job["overridden"] == ["options.priority", "trigger"]
    assert job["trigger"]["text"] == "every hour"
    job = client.do("/jobs/stock/reset").json()
    assert (job["overridden"], job["trigger"]["text"]) == ([], "every 10 seconds")


def test_a_job_that_others_need_is_kept(client: Client) -> None:
    """409, with the ids of the jobs that run after it."""
    client.do("/jobs", {"id": "child", "task": "greet", "after": ["stock"]})
    answer = client.delete(f"{API}/jobs/stock", headers=HEADERS)
    assert answer.status_code == 409
    assert "child" in answer.json()["detail"]


def test_a_backfill_is_tried_before_it_is_done(site: Site, client: Client) -> None:
    """With ``dry_run=true`` it tells what it would do, and writes nothing; it keeps its limits."""
    site.forward(50)
    body = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:50Z"}
    before = site.scheduler.events()
    path = "/jobs/stock/backfill"
    plan = client.do(f"{path}?dry_run=true", body).json()
    assert (plan["dry_run"], len(plan["times"])) == (True, 5)
    refused = client.do(path, body | {"limit": 2})
    assert (refused.status_code, "limit=2" in refused.json()["detail"]) == (422, True)
    assert client.do(path, {"start": body["start"], "end": body["start"]}).status_code == 422
    assert site.scheduler.events() == before
    done = client.do(path, body).json()
    assert (done["dry_run"], done["times"]) == (False, plan["times"])


def test_jobs_are_sorted_by_their_next_fire(client: Client) -> None:
    """On one page; a cursor belongs to the order by id."""
    found = client.api("/jobs", order="next_fire_at", limit=2)
    assert [job["id"] for job in found["items"]] == ["stock", "prices"]
    assert found["next"] is None
    assert client.get(f"{API}/jobs?order=next_fire_at&after=a").status_code == 422
    assert client.get(f"{API}/jobs?order=args").status_code == 422


def test_the_body_has_every_option_that_a_job_of_the_api_may_have() -> None:
    """All but those for code, and the address that a server would request for its sender."""
    shared = set(JobOptions.__dataclass_fields__) - {"at_start", "ping"}
    assert set(OptionsBody.model_fields) == shared


@pytest.mark.parametrize(
    "path", ["/jobs?colour=red", "/jobs?tag=a&tag=b", "/tasks?x=1", "/queues?limit=0"]
)
def test_unknown_and_repeated_parameters_are_refused(client: Client, path: str) -> None:
    """422 on every route, also on those without parameters of their own."""
    assert client.get(API + path).status_code == 422


@pytest.mark.parametrize("depth", [41, 100_000])
def test_a_body_that_is_too_deep_is_refused(site: Site, client: Client, depth: int) -> None:
    """422 before anything reads it."""
    content = '{"args": {"name": ' + "[" * depth + "]" * depth + "}}"
    answer = client.post(
        f"{API}/jobs/prices/run",
        content=content,
        headers=HEADERS | {"Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    assert site.scheduler.runs() == []
