"""The overview: what is late, silent or failing, the action that helps, and the charts."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import event

from duly import Watch, every
from tests.web.site import MOUNT, TOKEN, Client, Site
from tests.web.test_pages import text_of

DAY = timedelta(days=1).total_seconds()


def test_a_job_that_is_silent_since_yesterday_is_two_clicks_from_running(
    site: Site, client: Client
) -> None:
    """The overview says which, since when and why; it resumes it, and the next click runs it."""
    site.scheduler.pause("letter", reason="new printer", actor="ana")
    for _ in range(26):
        site.forward(3600)
    page = client.page("/")
    assert "paused letter was paused 1 d ago" in text_of(page)
    assert "by ana: new printer" in text_of(page)
    assert f'action="{MOUNT}/jobs/letter/resume"' in page
    done = client.submit("/jobs/letter/resume", back=f"{MOUNT}/")
    assert done.headers["location"] == f"{MOUNT}/?done=resumed"
    assert "was paused" not in text_of(client.page("/"))
    assert site.scheduler.job("letter").state == "active"


def test_a_job_without_its_expected_success_is_run_by_one_click(site: Site, client: Client) -> None:
    """Although nothing failed: it is silent."""
    site.scheduler.add("greet", every(days=30), id="quiet", watch=Watch(expected_every=3600))
    for _ in range(3):
        site.forward(1900)
    page = client.page("/")
    assert "silent quiet has not succeeded since it was added 1 h ago" in text_of(page)
    assert "a success is expected every 1 h" in text_of(page)
    assert client.submit("/jobs/quiet/run", back=f"{MOUNT}/").status_code == 303
    site.forward(1)
    site.forward(60)
    assert "silent quiet" not in text_of(client.page("/"))


def test_a_waiting_job_leads_to_the_queues(site: Site, client: Client) -> None:
    """With the reason; the switch of the queue is beside its depth."""
    site.scheduler.pause_queue("default", reason="migration", actor="ana")
    site.forward(60)
    site.forward(30)
    page = client.page("/")
    shown = text_of(page)
    assert "waiting prices has a run that was due 30 s ago" in shown
    assert "its queue &#39;default&#39; is paused by ana: migration" in shown
    assert f'action="{MOUNT}/queues/default/resume"' in page
    assert f'class="button help" href="{MOUNT}/workers#queues"' in page


def test_a_job_in_a_queue_without_workers_leads_to_its_page(site: Site, client: Client) -> None:
    """There it can be moved to a queue that is served."""
    site.scheduler.edit("stock", queue="gpu")
    site.forward(60)
    site.forward(30)
    page = client.page("/")
    assert "no worker serves its queue &#39;gpu&#39;" in text_of(page)
    assert f'class="button help" href="{MOUNT}/jobs/stock"' in page


def test_a_viewer_is_offered_no_action(site: Site) -> None:
    """Only links."""
    site.scheduler.pause("letter", reason="x")
    site.clock.advance(2 * DAY)
    page = site.client("viewer").page("/")
    assert "<form" not in page.partition("<main")[2].partition("</main>")[0]
    assert f'class="button help" href="{MOUNT}/jobs/letter"' in page


def test_reasons_are_shown_without_secrets(site: Site, client: Client) -> None:
    """As everywhere."""
    site.scheduler.pause("letter", reason="password=hunter2")
    site.scheduler.pause_queue("default", reason="token=hunter2")
    site.forward(60)
    site.clock.advance(2 * DAY)
    assert "hunter2" not in client.page("/")


@pytest.mark.parametrize(("window", "periods"), [("1h", 60), ("24h", 96), ("7d", 84)])
def test_charts_show_the_chosen_window(
    site: Site, client: Client, window: str, periods: int
) -> None:
    """Columns by outcome and lines of lateness; a page has the same figures as a table."""
    site.forward(60)
    page = client.page("/", window=window)
    assert f'viewBox="0 0 {periods} 100"' in page
    assert 'class="area is-succeeded"' in page
    assert 'class="area is-failed"' in page
    assert f'window={window}" aria-current="true"' in page
    shown = text_of(page)
    assert "succeeded 1 missed 5 failed 1" in shown.replace(" ,", "")
    assert "99 % at most 10 ms" in shown
    assert f'href="{MOUNT}/throughput?window={window}"' in page
    figures = text_of(client.page("/throughput", window=window))
    assert "From Succeeded Missed Failed Half late by 99 % late by" in figures
    assert re.search(r"From .* 1 5 1 10 ms 10 ms", figures)


def test_an_unknown_window_is_refused(client: Client) -> None:
    """As a page that says what is wrong."""
    assert client.get(f"{MOUNT}/", params={"window": "1y"}).status_code == 422


def test_users_of_some_owners_are_led_to_their_jobs(site: Site) -> None:
    """The overview is about all jobs; its address stays a useful one."""
    answer = site.client("viewer", owners="ana").get(f"{MOUNT}/")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{MOUNT}/jobs")


def test_the_next_twenty_fires_are_listed(site: Site, client: Client) -> None:
    """Soonest first, and on the time line."""
    for number in range(30):
        site.scheduler.add("greet", every(minutes=number + 1), id=f"many-{number:02}")
    page = client.page("/")
    assert page.count('class="point ') == 20
    assert page.index("many-00") < page.index("many-16")
    assert "many-29" not in page


def test_the_overview_reads_the_database_a_bounded_number_of_times(
    site: Site, client: Client
) -> None:
    """However many jobs there are: neither statements nor rows grow with them."""
    client.cookies.set("duly_csrf", TOKEN)
    statements: list[str] = []
    event.listen(
        site.scheduler.store.engine, "before_cursor_execute",
        lambda _conn, _cursor, statement, *_rest: statements.append(statement),
    )  # fmt: skip

    def number() -> int:
        statements.clear()
        client.page("/")
        return len([each for each in statements if each.startswith("SELECT")])

    for each in range(60):
        site.scheduler.add("greet", every(days=each + 1), id=f"first-{each:02}")
    few = number()
    for each in range(60):
        site.scheduler.add("greet", every(days=each + 1), id=f"second-{each:02}")
    assert number() == few < 120
