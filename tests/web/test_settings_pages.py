"""The settings: appearance, retention, keys, notices and calendars, and their forms."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from duly import every
from duly.store import tables
from duly.triggers import dates, weekends
from tests.web.site import API, MOUNT, Client, Site
from tests.web.test_pages import text_of

SECRET = re.compile(r"duly_[\w-]{43}")


def secret_in(text: str) -> str:
    found = SECRET.search(text)
    assert found, text
    return found[0]


# General


def test_it_shows_what_is_kept_and_the_versions(client: Client) -> None:
    """By outcome, for events and notices; and the versions of Duly and of the zones."""
    shown = text_of(client.page("/settings"))
    assert "succeeded runs 30 days after they end failed runs 90 days after they end" in shown
    assert "Events of the audit trail 90 days" in shown
    assert "Database SQLite" in shown


@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_everyone_chooses_a_theme(site: Site, role: str) -> None:
    """The browser keeps it for a year; "system" forgets it; no page tells it to others."""
    client = site.client(role)
    plain = client.page("/settings")
    answer = client.submit("/settings/theme", theme="dark", back=f"{MOUNT}/settings")
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("duly_theme=dark;")
    assert "Max-Age=31536000" in cookie
    assert "HttpOnly" in cookie
    assert f"Path={MOUNT}" in cookie
    dark = client.page("/settings")
    assert '<html lang="en" data-theme="dark">' in dark
    assert text_of(dark) == text_of(plain), "an update is shared by all users of a role"
    answer = client.submit("/settings/theme", theme="system")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert "data-theme" not in client.page("/settings")
    assert client.submit("/settings/theme", theme="neon").status_code == 422


def test_restricted_users_choose_a_theme_too(site: Site) -> None:
    """But reach no settings that concern all owners, and see no links to them."""
    client = site.client("admin", "acme")
    assert "/settings/keys" not in client.page("/settings")
    assert client.submit("/settings/theme", theme="light").status_code == 303
    for path in ("keys", "notices", "calendars"):
        assert client.get(f"{MOUNT}/settings/{path}").status_code == 403


# Keys


def test_a_key_is_shown_once(site: Site, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """In the response to the form and nowhere else: no page, event, table, log or cache has it."""
    answer = client.submit("/settings/keys", name="deploy", role="operator", rate="60")
    assert answer.status_code == 201
    secret = secret_in(answer.text)
    assert answer.headers["cache-control"] == "no-store"
    assert "location" not in answer.headers
    assert "data-refresh" not in answer.text, "an update would replace the key"
    for path in ("/settings/keys", "/audit", "/settings"):
        assert secret not in client.page(path)
    assert secret not in client.get(f"{API}/events").text
    assert secret not in caplog.text
    with site.scheduler.store.read() as conn:
        for table in tables.metadata.sorted_tables:
            assert secret not in repr(conn.execute(select(table)).all()), table.name
    record = site.scheduler.verify_key(secret)
    assert record is not None
    assert (record.name, record.role, record.rate, record.created_by) == (
        "deploy", "operator", 60, "ana",
    )  # fmt: skip


def test_a_key_of_some_owners_that_expires(site: Site, client: Client) -> None:
    """Owners are separated by commas; without any, the key reaches all."""
    client.submit("/settings/keys", name="a", owners="acme, bolt", expires_in=str(7 * 86400))
    client.submit("/settings/keys", name="b", owners=" ")
    stored = site.scheduler.keys()
    found = {each.name: each for each in stored}
    key, other = found["a"], found["b"]
    assert key.owners == ("acme", "bolt")
    assert key.expires_at is not None
    assert (key.expires_at - key.created_at).days == 7
    assert other.owners is None
    shown = text_of(client.page("/settings/keys"))
    assert "viewer of acme, bolt never expires in 7 d" in shown
    assert "is-late" not in client.page("/settings/keys")
    site.clock.advance(6 * 86400 + 1)
    assert 'class="state is-late"' in client.page("/settings/keys"), "it expires within a day"
    site.clock.advance(2 * 86400)
    assert "expired 1 d ago" in text_of(client.page("/settings/keys"))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": ""}, "This is required."),
        ({"name": "x" * 200}, "at most 180 characters"),
        ({"name": "a", "role": "emperor"}, "viewer"),
        ({"name": "a", "rate": "many"}, "valid integer"),
        ({"name": "a", "expires_in": "-5"}, "greater than 0"),
    ],
)
def test_a_key_that_is_not_valid_comes_back(
    site: Site, client: Client, typed: dict[str, str], said: str
) -> None:
    """With what is wrong beside the field and what was typed; no key is created."""
    answer = client.submit("/settings/keys", **typed, owners="acme <b>")
    assert answer.status_code == 422
    assert said in answer.text
    assert 'value="acme &lt;b&gt;"' in answer.text
    assert f'name="name" type="text" value="{typed["name"]}"' in answer.text
    assert site.scheduler.keys() == []


def test_revoking_a_key(site: Site, client: Client) -> None:
    """It asks first; the reason is in the audit trail, and the button is gone."""
    key = site.scheduler.create_key("deploy", role="viewer")
    page = client.page("/settings/keys")
    assert "Revoke the key deploy?" in page
    client.submit(f"/settings/keys/{key.record.id}/revoke", reason="leaked")
    page = client.page("/settings/keys")
    assert "revoked now" in text_of(page)
    assert "Revoke the key" not in page
    assert "ana revoked the key deploy: leaked" in text_of(client.page("/audit"))


def test_only_admins_see_keys(site: Site) -> None:
    """Neither the page nor the link to it."""
    operator = site.client("operator")
    assert operator.get(f"{MOUNT}/settings/keys").status_code == 403
    assert operator.submit("/settings/keys", name="x").status_code == 403
    assert "/settings/keys" not in operator.page("/settings")


# Notices

RULE = {"name": "billing", "on": "job.failing", "to": "ops@example.com, pager", "jobs": "prices"}


def test_a_notice_rule_is_added_and_removed(site: Site, client: Client) -> None:
    """With all its conditions; an application's own rule says that it comes back."""
    answer = client.submit(
        "/settings/notices",
        **RULE,
        every="3600",
        start="22:00",
        end="07:00",
        timezone="Europe/Rome",
    )
    assert answer.headers["location"] == f"{MOUNT}/settings/notices?done=rule-added"
    (rule,) = site.scheduler.notice_rules()
    assert (rule.to, rule.jobs, rule.every) == (("ops@example.com", "pager"), ("prices",), 3600)
    assert rule.quiet is not None
    shown = text_of(client.page("/settings/notices"))
    assert "billing added by ana" in shown
    assert "one in 1 h quiet from 22:00 to 07:00 (Europe/Rome)" in shown
    client.submit("/settings/notices/billing/remove", app="")
    assert site.scheduler.notice_rules() == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": ""}, "This is required."),
        ({"on": ""}, "on"),
        ({"on": "job.recovered"}, "name one too"),
        ({"every": "often"}, "valid number"),
        ({"start": "22:00"}, "end: This is required."),
        ({"start": "22:00", "end": "22:00"}, "never end"),
        ({"to": "http://127.0.0.1/hook"}, "127.0.0.1"),
    ],
)
def test_a_rule_that_is_not_valid_comes_back(
    site: Site, client: Client, changed: dict[str, str], said: str
) -> None:
    """With what is wrong and what was typed; no rule is added."""
    typed = {**RULE, **changed}
    answer = client.submit("/settings/notices", **typed)
    assert answer.status_code == 422, answer.text
    assert said in answer.text
    assert f'value="{typed["to"]}"' in answer.text
    assert site.scheduler.notice_rules() == []


def test_a_name_that_is_taken_comes_back(site: Site, client: Client) -> None:
    """As a conflict, with what was typed."""
    client.submit("/settings/notices", **RULE)
    answer = client.submit("/settings/notices", **RULE)
    assert answer.status_code == 409
    assert 'value="billing"' in answer.text
    assert "checked> job.failing" in answer.text


def test_urls_of_webhooks_are_not_shown(site: Site, client: Client) -> None:
    """Their paths may be secrets: of a URL, only the host is shown."""
    site.scheduler.add_notice_rule(
        "hook", on=["run.failed"], to=["https://hooks.example.com/s3cret"]
    )
    page = client.page("/settings/notices")
    assert "https://hooks.example.com/…" in page
    assert "s3cret" not in page


def test_a_test_notice_shows_in_the_outbox(site: Site, client: Client) -> None:
    """Pending at first; one that was given up can be sent again by an operator."""
    client.submit("/settings/notices/test", to="pager")
    shown = text_of(client.page("/settings/notices"))
    assert "pending This is a test of the notices of Duly rule test pager" in shown
    (notice,) = site.scheduler.notices()
    answer = site.client("operator").submit(f"/settings/outbox/{notice.id}/retry")
    assert answer.status_code == 303
    refused = client.submit("/settings/notices/test", to="http://127.0.0.1/hook")
    assert refused.status_code == 422
    assert 'value="http://127.0.0.1/hook"' in refused.text


def test_only_admins_change_rules(site: Site) -> None:
    """Others read them."""
    site.scheduler.add_notice_rule("hook", on=["run.failed"], to=["pager"])
    operator = site.client("operator")
    page = operator.page("/settings/notices")
    assert "hook" in page
    assert "New rule" not in page
    for path in ("/settings/notices", "/settings/notices/test", "/settings/notices/hook/remove"):
        assert operator.submit(path).status_code == 403


# Calendars


def test_calendars_and_what_they_exclude(site: Site, client: Client) -> None:
    """The number of days in the next year, and each of them by month."""
    site.scheduler.set_calendar("party", dates("2026-12-24", "2026-12-31"))
    site.scheduler.set_calendar("rest", weekends())
    shown = text_of(client.page("/settings/calendars"))
    assert "party 2026-12-24, 2026-12-31 2 days, first Thu 24 Dec" in shown
    assert "rest weekends 104 days, first Sat 3 Jan" in shown
    shown = text_of(client.page("/settings/calendars/party"))
    assert "December 2026 Thu 24 Thu 31" in shown
    assert client.get(f"{MOUNT}/settings/calendars/none").status_code == 404


def test_a_calendar_is_added_changed_and_removed(site: Site, client: Client) -> None:
    """By JSON, as in the REST API; a name is not taken twice by accident."""
    client.submit("/settings/calendars", name="rest", definition='{"kind": "weekends"}')
    again = client.submit("/settings/calendars", name="rest", definition='{"kind": "weekends"}')
    assert again.status_code == 409
    assert "There is a calendar rest already" in again.text
    client.submit(
        "/settings/calendars/rest",
        definition='{"kind": "dates", "days": ["2026-12-24"]}',
        reason="only Christmas",
    )
    assert site.scheduler.calendars()["rest"] == dates("2026-12-24")
    assert "ana changed the calendar rest: only Christmas" in text_of(client.page("/audit"))
    answer = client.submit("/settings/calendars/rest/remove")
    assert answer.headers["location"] == f"{MOUNT}/settings/calendars?done=calendar-removed"
    assert site.scheduler.calendars() == {}


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ("{", "valid JSON"),
        ('{"kind": "dates", "days": ["2026-02-30"]}', "2026-02-30"),
        ("", "JSON"),
    ],
)
def test_a_calendar_that_is_not_valid_comes_back(
    site: Site, client: Client, definition: str, said: str
) -> None:
    """New or changed: with what is wrong and what was typed; nothing changes."""
    site.scheduler.set_calendar("rest", weekends())
    for path in ("/settings/calendars", "/settings/calendars/rest"):
        answer = client.submit(path, name="new", definition=definition)
        assert answer.status_code == 422, answer.text
        assert said in answer.text
        assert definition.replace('"', "&#34;") in answer.text
    assert site.scheduler.calendars() == {"rest": weekends()}


def test_only_admins_change_calendars(site: Site) -> None:
    """Others read them."""
    site.scheduler.set_calendar("rest", weekends())
    operator = site.client("operator")
    for path in ("/settings/calendars", "/settings/calendars/rest"):
        assert "weekends" in operator.page(path)
        assert "<textarea" not in operator.page(path)
        assert operator.submit(path, name="a", definition="{}").status_code == 403


@pytest.mark.parametrize(
    ("action", "page"),
    [
        ("/settings/calendars/rest/remove", "/settings/calendars/rest"),
        ("/settings/keys/none/revoke", "/settings/keys"),
        ("/settings/notices/none/remove", "/settings/notices"),
        ("/settings/outbox/none/retry", "/settings/notices"),
        ("/workers/none/drain", "/workers"),
        ("/limits/none/remove", "/workers"),
        ("/jobs/none/pause", "/jobs/none"),
    ],
)
def test_a_refused_action_leads_back(site: Site, client: Client, action: str, page: str) -> None:
    """The error page has a link to the page that the button was on."""
    site.scheduler.set_calendar("rest", weekends())
    rested = every(hours=1).excluding("rest")
    site.scheduler.add("greet", rested, id="rested")
    answer = client.submit(action)
    assert answer.status_code in {404, 409}
    assert f'href="{MOUNT}{page}">Back</a>' in answer.text
