"""The pages of jobs, metrics and webhooks, and the health of the application."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from apps.sneaky_klaus.models import Webhook
from duly import SystemClock, VirtualClock
from duly.errors import DatabaseUnavailable
from tests.apps.sneaky_klaus.browser import Browser, admin_of
from tests.apps.sneaky_klaus.world import World, app_on
from tests.support.waiting import wait_until

UNHEALTHY = {"status": "unhealthy", "reason": "Scheduler not running"}


def test_21_health_has_exactly_two_shapes(migrated_url: str) -> None:
    """A process with a scheduler answers healthy while it runs, and unhealthy otherwise."""
    with app_on(migrated_url, SystemClock(), scheduler_enabled=True) as world:
        browser = Browser(world)
        response = browser.get("/health")
        assert (response.status_code, response.json) == (503, UNHEALTHY)
        world.scheduler.start()
        wait_until(lambda: browser.get("/health").status_code == 200, what="a healthy answer")
        assert browser.get("/health").json == {"status": "healthy", "jobs": 6}
        world.scheduler.stop(grace=0)
        response = browser.get("/health")
        assert (response.status_code, response.json) == (503, UNHEALTHY)


def test_21_a_process_that_only_serves_reports_whether_another_one_executes(world: World) -> None:
    """Without a scheduler here, a heartbeat of the last 90 seconds anywhere counts as healthy."""
    browser = Browser(world)
    assert browser.get("/health").json == {"status": "healthy", "jobs": 6}
    world.set_clock(world.clock.now() + timedelta(seconds=91))
    response = browser.get("/health")
    assert (response.status_code, response.json) == (503, UNHEALTHY)


def test_21_health_is_unhealthy_while_the_database_does_not_respond(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the database nothing is executed, and the answer says so instead of failing."""

    def fail() -> None:
        raise DatabaseUnavailable("the database does not respond")

    monkeypatch.setattr(type(world.scheduler), "workers", lambda *_, **__: fail())
    response = Browser(world).get("/health")
    assert (response.status_code, response.json) == (503, UNHEALTHY)


def test_23_the_dashboard_lists_next_runs_and_history(world: World) -> None:
    """Jobs are listed with their next run in the zone of the exchange, and runs with results."""
    browser = admin_of(world)
    exchange = world.matched("2026-12-24 18:00")
    world.move_to("2026-11-02 03:00")
    browser = admin_of(world)
    page = browser.read("/admin/jobs")
    reminder = _row(page, f"reminder_exchange_{exchange}_days_7")
    assert "Reminder: Office party, 7 days before" in reminder
    assert "in 46 days" in reminder
    assert "17 Dec 2026, 18:00 America/New_York" in reminder
    assert "3 Nov 2026, 00:00 UTC" in _row(page, "auto_complete_exchanges")
    assert "succeeded" in _row(page, "cleanup_expired_sessions")
    assert "deleted" in page
    found = browser.get("/admin/api/jobs").json
    assert found is not None
    assert set(found) == {"jobs", "executions", "failures", "missed"}
    assert {job["id"] for job in found["jobs"]} >= {"purge_old_exchanges", "reconcile_reminders"}
    assert found["executions"][0]["state"] == "succeeded"


def test_23_a_manual_run_is_confirmed_and_audited(world: World) -> None:
    """Opening the page runs nothing; its form does, and the run names the admin's id."""
    browser = admin_of(world)
    path = "/admin/jobs/purge_old_exchanges/run"
    before = len(world.runs("purge_old_exchanges"))
    assert "Run this job now?" in browser.read(path)
    assert len(world.runs("purge_old_exchanges")) == before
    assert browser.post(path).location == "/admin/jobs"
    run = world.run("purge_old_exchanges")
    assert (run.cause, run.actor) == ("manual", "admin 1")
    assert "purge_old_exchanges runs now." in browser.read("/admin/jobs")
    world.run_due()
    assert world.run("purge_old_exchanges").state == "succeeded"


def test_23_a_manual_run_needs_an_admin_a_form_and_a_job_that_does_not_run(world: World) -> None:
    """Visitors get 401, forms without a token 403, unknown jobs 404, and running ones 409."""
    browser, path = admin_of(world), "/admin/jobs/purge_old_exchanges/run"
    assert Browser(world).post(path).status_code == 401
    assert Browser(world).get(path).location.startswith("/admin/login")
    assert Browser(world).get("/admin/api/jobs").status_code == 401
    assert browser.client.post(path).status_code == 403
    assert browser.client.head(path).status_code == 200
    assert world.runs("purge_old_exchanges") == []
    assert browser.get("/admin/jobs/no_such_job/run").status_code == 404
    assert browser.post("/admin/jobs/no_such_job/run").status_code == 404
    assert browser.post("/admin/jobs/runs/nonsense/repeat").status_code == 404
    assert browser.post(path).status_code == 303
    again = browser.post(path)
    assert again.status_code == 409
    assert "purge_old_exchanges is running, so it was not started again." in again.text
    assert len(world.runs("purge_old_exchanges")) == 1


def test_a_missed_reminder_is_shown_and_can_be_sent_now(world: World) -> None:
    """A reminder beyond its grace is on the page; its button sends it, once."""
    exchange = world.matched("2026-11-08 14:00")
    world.move_to("2026-11-01 21:00")
    browser = admin_of(world)
    page = browser.read("/admin/jobs")
    assert "Was due Sunday, 1 Nov 2026, 14:00 (America/New_York)" in page
    assert '<span class="pill" data-state="error">Missed</span>' in browser.read(
        f"/admin/exchanges/{exchange}"
    )
    [path] = re.findall(r'action="(/admin/jobs/runs/[^/]+/repeat)"', page)
    assert world.mails() == []
    assert browser.post(path).location == "/admin/jobs"
    assert len(world.mails()) == 3
    assert browser.post(path).status_code == 409
    assert world.mails() == []
    assert "Was due" not in browser.read("/admin/jobs")


def test_metrics_tell_time_success_and_failures_of_each_type(world: World) -> None:
    """The page has a row for each type of job, with its failures and its last error."""
    world.exchange("2026-12-24 18:00")
    exchange = world.exchange("2026-12-24 18:00")
    world.post.refused.add(f"person1@{exchange}.example.com")
    world.match(exchange)
    world.run_due()
    page = admin_of(world).read("/admin/metrics")
    row = _row(page, "type-mail_assignment")
    assert "Mail: whom to give to" in row
    assert re.findall(r">(\d+(?: %)?)<", row) == ["3", "67 %", "1"]
    assert "refused the recipients" in row


def test_prometheus_reads_the_metrics_from_allowed_networks_only(migrated_url: str) -> None:
    """Another network is refused; an allowed one reads Duly's metrics."""
    with app_on(migrated_url, VirtualClock(), metrics_networks="10.0.0.0/8") as world:
        assert Browser(world, "203.0.113.7").get("/metrics").status_code == 403
        response = Browser(world, "10.1.2.3").get("/metrics")
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain")
    assert "duly_jobs" in response.text


def test_admins_use_dulys_dashboard_and_nobody_else_does(world: World) -> None:
    """The dashboard knows the admin of the session; a visitor is refused."""
    browser = admin_of(world)
    assert "auto_complete_exchanges" in browser.get("/admin/duly/jobs").text
    assert Browser(world).get("/admin/duly/jobs").status_code in (401, 403)


def test_a_webhook_is_created_with_a_secret_that_is_shown_once(world: World) -> None:
    """The page after the creation shows the secret, and no later one does."""
    browser = admin_of(world)
    fields = {"url": "https://example.com/hook", "events": ["exchange.matched"], "active": "y"}
    assert browser.post("/admin/webhooks/new", fields).location == "/admin/webhooks"
    [webhook] = world.rows(Webhook)
    assert (webhook.url, webhook.events, webhook.active) == (
        "https://example.com/hook", ["exchange.matched"], True,
    )  # fmt: skip
    assert webhook.secret in browser.read("/admin/webhooks")
    assert webhook.secret not in browser.read("/admin/webhooks")
    assert webhook.secret not in browser.read(f"/admin/webhooks/{webhook.id}/edit")
    changed = {"url": "https://example.com/other", "events": ["job.failed", "reminder.sent"]}
    assert browser.post(f"/admin/webhooks/{webhook.id}/edit", changed).status_code == 303
    [stored] = world.rows(Webhook)
    assert (stored.url, stored.active, stored.secret) == (changed["url"], False, webhook.secret)
    assert browser.post(f"/admin/webhooks/{webhook.id}/delete").status_code == 303
    assert world.rows(Webhook) == []
    assert browser.post(f"/admin/webhooks/{webhook.id}/test").status_code == 404


@pytest.mark.parametrize(
    ("url", "events"),
    [
        ("ftp://example.com/hook", ["job.failed"]),
        ("https://10.0.0.1/hook", ["job.failed"]),
        ("http://localhost/hook", ["job.failed"]),
        ("https://user:pass@example.com/", ["job.failed"]),
        ("", ["job.failed"]),
        ("https://example.com/hook", []),
        ("https://example.com/hook", ["exchange.spoilt"]),
    ],
)
def test_a_webhook_that_is_not_valid_is_refused(
    migrated_url: str, url: str, events: list[str]
) -> None:
    """Other schemes, private addresses, passwords in the URL and unknown events are a 422."""
    with app_on(migrated_url, VirtualClock(), allow_private_webhooks=False) as world:
        refused = admin_of(world).post("/admin/webhooks/new", {"url": url, "events": events})
        assert refused.status_code == 422
        assert 'class="wrong"' in refused.text
        assert world.rows(Webhook) == []


def test_a_test_event_is_sent_to_the_webhook_and_listed(world: World) -> None:
    """The button enqueues one delivery, which the page lists; a broken one is not repeated."""
    browser = admin_of(world)
    webhook = world.webhook("https://127.0.0.1:9/hook")
    assert browser.post(f"/admin/webhooks/{webhook}/test").location == "/admin/webhooks"
    [run] = world.runs("deliver_webhook")
    assert (run.args["webhook_id"], run.args["event"]) == (webhook, "test")
    assert "waiting" in _row(browser.read("/admin/webhooks"), f"run-{run.id}")


def _row(page: str, id: str) -> str:
    """The row of a table."""
    found = re.search(rf'<tr id="{id}">(.*?)</tr>', page, re.DOTALL)
    assert found is not None, f"no row {id}"
    return found[1]
