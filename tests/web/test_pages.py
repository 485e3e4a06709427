"""The pages show the scheduler's state, and their forms work without a script."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from duly import Scheduler, at, cron, every
from tests.web.site import API, MOUNT, Client, Site


def text_of(html: str) -> str:
    """Return the visible text, without tags and with normalized spaces."""
    body = html.partition("<main")[2].partition(">")[2].partition("</main>")[0]
    words = " ".join(
        re.sub(r"<[^>]*>", " ", body.replace("<wbr>", "").replace("&nbsp;", " ")).split()
    )
    return re.sub(r" ([,.:;])", r"\1", words)


def test_overview_when_all_is_well(site: Site, client: Client) -> None:
    """The overview says so, and shows the next fires and the newest runs."""
    site.forward(10)
    shown = text_of(client.page("/"))
    assert "Nothing is late, silent or failing." in shown
    assert "stock every 10 seconds 01:00:20 in 10 s succeeded" in shown
    assert (
        "letter at 09:00 on Monday to Friday, Europe/Madrid time 09:00:00 in 7 h not run yet"
        in shown
    )


def test_overview_shows_trouble_first(site: Site, client: Client) -> None:
    """Late, failing and unresolved jobs and dead letters are listed first, with links."""
    site.forward(60)
    site.clock.advance(30)
    page = client.page("/")
    shown = text_of(page)
    assert "late stock should have fired 20 s ago, at 01:01:10" in shown
    assert "failing prices the last run failed: ConnectionError: no answer from feed" in shown
    assert "dead letters 1 failed run" in shown
    assert page.index("Needs attention") < page.index("Active jobs") < page.index("Next to fire")
    assert f'href="{MOUNT}/dead-letters"' in page


def test_a_missed_reminder_stays_on_the_overview(site: Site, client: Client) -> None:
    """When other runs have followed, too; lists show it as missed, and Retry makes up for it."""
    due = site.clock.now() + timedelta(hours=1)
    site.scheduler.add("greet", at(due), id="reminder", misfire_grace=3600)
    site.forward(2 * 3600 + 60)
    for _ in range(30):
        site.forward(10)
    page = client.page("/")
    assert "missed reminder was due 1 h ago" in text_of(page)
    assert "finished 1 missed missed 5 min ago" in text_of(client.page("/jobs", text="reminder"))
    assert "Health Missed" in text_of(client.page("/jobs/reminder"))
    assert "reminder due" in text_of(client.page("/runs", state="missed", job="reminder"))
    [retry] = re.findall(rf'action="{MOUNT}(/runs/[^"]+/retry)"', page[page.index(">reminder<") :])[
        :1
    ]
    client.submit(retry)
    site.scheduler.tick()
    assert "was due" not in text_of(client.page("/"))
    assert [run.state for run in site.scheduler.runs(job="reminder")] == ["succeeded"]


def test_overview_says_when_it_does_not_show_all(site: Site, client: Client) -> None:
    """If many jobs have problems, some are shown, with a note that there are more."""
    for number in range(30):
        site.scheduler.add("greet", every(hours=1), id=f"many {number:02}")
    site.clock.advance(7200)
    shown = text_of(client.page("/"))
    assert shown.count("should have fired") == 8
    assert "not all late jobs are shown here" in shown
    assert "not all failing jobs" not in shown


def test_overview_shows_which_version_a_worker_runs(site: Site, client: Client) -> None:
    """The version of the application, if there is one, and of Duly."""
    url = site.scheduler.store.url.render_as_string(hide_password=False)
    other = Scheduler(url, clock=site.clock, version="1.4.2")
    other.tick()
    shown = text_of(client.page("/"))
    assert shown.count("version 1.4.2, Duly ") == 1
    assert shown.count(", Duly ") == 2
    other.stop(grace=0)


def test_overview_shows_the_jobs_of_each_process(site: Site, client: Client) -> None:
    """By worker: the last outcome with its error, and the next time; the API gives the same."""

    @site.scheduler.job(every(seconds=30), scope="process", id="refresh_rates")
    def refresh() -> None:
        raise LookupError("no rates; password=hunter2")

    site.forward(1)
    site.forward(30)
    page = client.page("/")
    shown = text_of(page)
    assert "In each process Jobs that each process executes for itself" in shown
    assert "refresh_rates every 30 seconds, in " in shown
    assert (
        "failed now LookupError: no rates; password=[hidden] in 30 s 1, the last run failed"
        in shown
    )
    assert "process jobs job &#39;refresh_rates&#39; fails in its only process" in shown
    assert "hunter2" not in page
    (worker,) = client.api("/workers")["items"]
    (job,) = worker["process_jobs"]
    assert (job["last_outcome"], job["runs"], job["failures"]) == ("failed", 1, 1)


def test_overview_without_workers(site: Site, client: Client) -> None:
    """Without a live worker, the page shows a warning."""
    site.clock.advance(3600)
    assert "No worker is alive." in client.page("/")


def test_empty_pages(site: Site, client: Client) -> None:
    """Without jobs and runs, every page says what to do."""
    for job in ("stock", "prices", "letter"):
        site.scheduler.remove(job)
    assert "No job will fire." in client.page("/")
    assert "There are no jobs yet." in client.page("/jobs")
    assert "Nothing has run yet." in client.page("/runs")


def test_jobs_page(site: Site, client: Client) -> None:
    """It shows the trigger in English, the next fire and the last outcome, and can be searched."""
    site.forward(60)
    site.scheduler.pause("letter", reason="holidays")
    shown = text_of(client.page("/jobs"))
    assert "prices fetch_prices every minute 01:02:00 in 1 min 1 failed failed now" in shown
    assert "paused holidays" in shown
    assert "stock" not in text_of(client.page("/jobs", text="pri"))
    assert "prices" not in text_of(client.page("/jobs", state="paused"))
    assert "No jobs match this search." in client.page("/jobs", text="nothing like this")


def test_jobs_come_in_pages(site: Site, client: Client) -> None:
    """A page has fifty jobs; the link to the next one keeps the search."""
    for number in range(60):
        site.scheduler.add("greet", every(hours=1), id=f"many {number:02}")
    page = client.page("/jobs", text="many")
    assert page.count("data-key=") == 50
    link = page.partition('class="pages"')[2].partition('href="')[2].partition('"')[0]
    rest = client.get(link.replace("&amp;", "&")).text
    assert rest.count("data-key=") == 10
    assert "many 59" in rest


def test_job_page(site: Site, client: Client) -> None:
    """It shows the definition, the next fires, the runs, and the reasons of missed times."""
    site.forward(10)
    site.forward(50)
    shown = text_of(client.page("/jobs/stock"))
    assert "Count what is in stock." in shown
    assert "Fires every 10 seconds" in shown
    assert "Thu 1 Jan, 01:01:10 UTC+01:00 in 10 s" in shown
    assert "If the last run has not finished skip the new run" in shown
    assert "4 times missed 01:00:20 to 01:00:50 only the newest missed time runs" in shown
    assert "counted" in shown


def test_job_page_marks_clock_changes(site: Site, client: Client) -> None:
    """The UTC offset of each fire shows where summer time begins."""
    site.scheduler.add("greet", cron("0 9 * * SUN", tz="Europe/Madrid"), id="sundays")
    site.clock.advance(timedelta(days=80).total_seconds())
    site.scheduler.tick()
    shown = text_of(client.page("/jobs/sundays"))
    assert "Sun 22 Mar, 09:00:00 UTC+01:00" in shown
    assert "Sun 29 Mar, 09:00:00 UTC+02:00" in shown


def test_run_page(site: Site, client: Client) -> None:
    """It shows the timeline, the log, the result, the error with traceback, and the arguments."""
    site.forward(60)
    good = text_of(client.page(f"/runs/{site.run_of('stock')}"))
    assert "Scheduled for 01:01:00 catch-up Started 01:01:00" in good
    assert "INFO counted 7 products" in good
    assert '"counted": 7' in good.replace("&#34;", '"')
    bad = text_of(client.page(f"/runs/{site.run_of('prices')}"))
    assert "ConnectionError no answer from feed Traceback (most recent call last)" in bad
    assert "Retry" in bad
    assert "Discard" in bad


def test_the_run_of_a_removed_job(site: Site, client: Client) -> None:
    """The run is kept, and its page says that the job was removed."""
    site.forward(10)
    run = site.run_of("stock")
    site.scheduler.remove("stock")
    assert "stock (removed)" in text_of(client.page(f"/runs/{run}"))


def test_times_name_their_instant_and_zone(site: Site, client: Client) -> None:
    """Each time is a ``time`` element with the instant, and with day, offset and zone on hover."""
    site.forward(10)
    page = client.page(f"/runs/{site.run_of('stock')}")
    assert '<time datetime="2026-01-01T00:00:10+00:00"' in page
    assert "Thursday 1 January 2026, 01:00:10 UTC+01:00 (Europe/Madrid)" in page


def test_forms_work(site: Site, client: Client) -> None:
    """Each form does what it says: jobs, runs, queues and the scheduler."""
    answer = client.submit("/jobs/stock/run")
    run = site.run_of("stock")
    assert answer.headers["location"] == f"{MOUNT}/runs/{run}?done=started"
    client.submit(f"/runs/{run}/cancel")
    assert site.scheduler.run(run).state == "cancelled"
    client.submit("/jobs/stock/pause", reason="stocktaking")
    assert site.scheduler.job("stock").paused_reason == "stocktaking"
    assert site.scheduler.job("stock").paused_by == "ana"
    client.submit("/jobs/stock/resume")
    assert site.scheduler.job("stock").state == "active"
    site.forward(60)
    failed = site.run_of("prices")
    client.submit(f"/runs/{failed}/retry")
    site.scheduler.tick()
    assert client.submit(f"/runs/{failed}/discard", reason="").status_code == 422
    client.submit(f"/runs/{failed}/discard", reason="gone")
    assert site.scheduler.run(failed).state == "discarded"
    client.submit("/queues/mail/pause", reason="slow")
    assert "paused by ana: slow" in text_of(client.page("/"))
    client.submit("/queues/mail/resume")
    client.submit("/scheduler/stop", reason="moving house")
    assert "Switched off by ana now: moving house" in text_of(client.page("/"))
    client.submit("/scheduler/start")
    assert not site.scheduler.status().stopped


@pytest.mark.parametrize(
    ("back", "leads"),
    [
        (f"{MOUNT}/jobs?text=a&state=active", f"{MOUNT}/jobs?text=a&state=active&done=paused"),
        (f"{MOUNT}/", f"{MOUNT}/?done=paused"),
        ("https://evil.example/", None),
        ("//evil.example/duly/", None),
        ("/\\evil.example/duly/", None),
        ("/elsewhere", None),
        ("javascript:alert(1)", None),
        (f"{MOUNT}/\r\nSet-Cookie: a=b", None),
    ],
)
def test_a_form_redirects_only_to_pages_under_the_mount(
    client: Client, back: str, leads: str | None
) -> None:
    """Any other target is replaced by the job's own page."""
    answer = client.submit("/jobs/stock/pause", back=back)
    assert answer.headers["location"] == (leads or f"{MOUNT}/jobs/stock?done=paused")
    assert "set-cookie" not in answer.headers


def test_pages_on_each_database(database_url: str) -> None:
    """Pages and API have the same content on every database."""
    site = Site(database_url)
    try:
        site.forward(60)
        client = site.client()
        run = site.run_of("prices")
        for path in ("/", "/jobs", "/jobs/stock", "/runs", f"/runs/{run}"):
            client.page(path)
        for path in ("/status", "/jobs", "/runs?state=failed&text=feed", "/events", "/workers"):
            assert client.get(API + path).status_code == 200
        for path in ("/jobs/%00", "/jobs/%00/runs", "/runs/%00", "/jobs/none", "/runs/none"):
            assert client.get(API + path).status_code == 404
    finally:
        site.scheduler.stop(grace=0)
