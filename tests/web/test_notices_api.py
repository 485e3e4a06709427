"""The REST API adds and removes notice rules, shows the outbox, and tests channels."""

from __future__ import annotations

from typing import Any

import pytest

from duly.errors import NotDelivered
from duly.notify import Notice, notify
from tests.web.site import API, TOKEN, Client, Site

UNSAFE = {"X-CSRF-Token": TOKEN}


def test_a_rule_is_added_listed_and_removed(site: Site, client: Client) -> None:
    """With its actor in the audit trail; a name is given once."""
    rule = {
        "name": "nights/1", "on": ["run.failed"], "to": ["ops@example.com"], "tags": ["shop"],
        "every": 3600, "quiet": {"start": "22:00", "end": "07:00", "timezone": "Europe/Madrid"},
    }  # fmt: skip
    added = client.do("/notify/rules", rule)
    assert added.status_code == 201, added.text
    [stored] = client.api("/notify/rules")["items"]
    assert added.json() == stored
    assert {name: stored[name] for name in rule} == rule
    assert (stored["created_by"], stored["app"]) == ("ana", "")
    assert client.do("/notify/rules", rule).status_code == 409
    path = f"{API}/notify/rules/nights%2F1"
    assert client.delete(path, headers=UNSAFE).status_code == 204
    assert client.delete(path, headers=UNSAFE).status_code == 404
    assert client.api("/notify/rules") == {"items": [], "next": None}
    trail = [(each.kind, each.actor) for each in site.scheduler.events() if "notice" in each.kind]
    assert trail == [("notice_rule.added", "ana"), ("notice_rule.removed", "ana")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"on": []},
        {"on": ["run.succeeded"]},
        {"to": []},
        {"to": ["http://127.0.0.1/"]},
        {"to": ["https://169.254.169.254/latest"]},
        {"to": ["https://user:pw@example.com/"]},
        {"to": ["a\r\nBcc: b@c.de"]},
        {"to": ["x" * 501]},
        {"name": ""},
        {"name": "💥" * 192},
        {"name": "a\nb"},
        {"every": -1},
        {"every": 1e300},
        {"quiet": {"start": "25:00", "end": "07:00"}},
        {"quiet": {"start": "22:00", "end": "07:00", "timezone": "Mars/Base"}},
        {"urgent": ["nonsense"]},
        {"nonsense": 1},
        {"jobs": "all"},
    ],
)
def test_a_rule_that_is_not_valid_changes_nothing(
    site: Site, client: Client, wrong: dict[str, Any]
) -> None:
    """422, with what is wrong."""
    before = site.scheduler.events()
    rule = {"name": "r", "on": ["run.failed"], "to": ["pager"], **wrong}
    answer = client.do("/notify/rules", rule)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert site.scheduler.events() == before
    assert site.scheduler.notice_rules() == []


def test_rules_are_listed_page_by_page(site: Site, client: Client) -> None:
    """However long their names are."""
    names = [letter * 191 for letter in "cab"]
    for name in names:
        site.scheduler.add_notice_rule(name, on=["run.failed"], to=["pager"])
    first = client.api("/notify/rules", limit=2)
    second = client.api("/notify/rules", limit=2, after=first["next"])
    found = [rule["name"] for rule in (*first["items"], *second["items"])]
    assert (found, second["next"]) == (sorted(names), None)


def test_the_outbox_is_shown_page_by_page(site: Site, client: Client) -> None:
    """The newest first; of a URL only the host, because its path may be a secret."""
    for number in range(3):
        site.scheduler.send_test_notice(f"pager-{number}")
    site.scheduler.send_test_notice("https://hooks.example.com/secret-path")
    first = client.api("/notify/outbox", limit=2, state="pending")
    assert [item["to"] for item in first["items"]] == ["https://hooks.example.com/…", "pager-2"]
    second = client.api("/notify/outbox", limit=2, after=first["next"])
    assert ([item["to"] for item in second["items"]], second["next"]) == (
        ["pager-1", "pager-0"], None,
    )  # fmt: skip
    assert client.api("/notify/outbox", state="dead")["items"] == []
    assert client.get(f"{API}/notify/outbox?after=x").status_code == 422
    assert client.get(f"{API}/notify/outbox?state=lost").status_code == 422


def test_a_channel_is_tested_and_its_notice_retried(site: Site, client: Client) -> None:
    """The test goes through the outbox, where it can be followed by its id."""
    seen = list[Notice]()
    trouble = [NotDelivered("no such mailbox", final=True)]

    def pager(notice: Notice) -> None:
        if trouble:
            raise trouble.pop()
        seen.append(notice)

    site.scheduler.notify(notify(pager), on=["run.failed"])
    answer = client.do("/notify/test", {"to": "pager"})
    assert answer.status_code == 202
    path = f"/notify/outbox/{answer.json()['id']}"
    assert client.api(path)["state"] == "pending"
    site.scheduler.send_notices()
    assert (client.api(path)["state"], client.api(path)["error"]) == ("dead", "no such mailbox")
    assert client.do(f"{path}/retry").json()["state"] == "pending"
    site.scheduler.send_notices()
    assert client.api(path)["state"] == "sent"
    assert [notice.id for notice in seen] == [answer.json()["id"]]
    assert client.do(f"{path}/retry").status_code == 409
    assert client.do("/notify/outbox/nonsense/retry").status_code == 404
    assert client.do("/notify/test", {"to": "http://10.0.0.1/"}).status_code == 422
    assert (
        site.client("operator")
        .post(f"{API}/notify/test", json={"to": "pager"}, headers=UNSAFE)
        .status_code
        == 403
    )
