"""The page of a job: is it healthy, when does it fire next, and what can be done?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from duly import Actor, cron, every, weekends
from duly.web.dashboard.charts.job_graph import shortened
from tests.web.site import MOUNT, Client, Site
from tests.web.test_pages import text_of

EVIL = "a/b <script>alert(1)</script> ?month=x&amp;#é前"


def path_of(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"


def days_of(page: str) -> dict[str, str]:
    """Return what the calendar says of each day, by its number and month."""
    titles = re.findall(r'<td data-key="[\d-]+"[^>]* title="([^"]*)"', page)
    named = (title.partition(": ") for title in titles)
    return {name.partition(" ")[2]: text for name, _, text in named}


@pytest.fixture
def spring(prepared_sqlite_url: str) -> Iterator[Site]:
    """A site in March 2026, before the clocks change."""
    held = Site(prepared_sqlite_url, start=datetime(2026, 3, 2, 10, tzinfo=UTC))
    yield held
    held.scheduler.stop(grace=0)


def test_the_answers_come_first(site: Site, client: Client) -> None:
    """Health, the next fire and the last run are above everything else."""
    site.forward(10)
    page = client.page("/jobs/stock")
    shown = text_of(page)
    assert "Health Healthy Its run succeeded." in shown
    assert "Next fire in 10 s Thu 1 Jan, 01:00:20 UTC+01:00" in shown
    assert "Last run succeeded now" in shown
    assert page.index("Health") < page.index('id="calendar"') < page.index('id="history"')


def test_a_job_that_no_worker_serves_is_moved_with_what_waits(site: Site, client: Client) -> None:
    """Its page says so above everything, and one button moves it to a queue that is served."""
    site.scheduler.edit("stock", queue="gpu")
    site.forward(60)
    site.clock.advance(30)
    page = client.page("/jobs/stock")
    assert "1 run cannot start: no worker serves the queue gpu." in text_of(page)
    assert "Health Waiting A run was due 30 s ago" in text_of(page)
    answer = client.submit("/jobs/stock/queue", queue="default")
    assert answer.status_code == 303
    page = client.page("/jobs/stock")
    assert "cannot start" not in text_of(page)
    assert {run.queue for run in site.scheduler.runs(job="stock", state="ready")} == {"default"}
    assert 'name="queue"' not in site.client("operator").page("/jobs/stock")


def test_health_names_the_worst_problem(site: Site, client: Client) -> None:
    """Failing, late, paused and unresolved jobs, and a paused queue."""
    site.forward(60)
    assert "Health Failing The last run failed." in text_of(client.page("/jobs/prices"))
    assert "Open the last failure" in client.page("/jobs/prices")
    site.scheduler.pause_queue("mail")
    shown = text_of(client.page("/jobs/letter"))
    assert "Health Queue paused Its runs wait: queue mail is paused." in shown
    site.clock.advance(40)
    shown = text_of(client.page("/jobs/stock"))
    assert "Health Late It should have fired 30 s ago." in shown
    site.scheduler.pause("stock", reason="stocktaking", actor="bo")
    shown = text_of(client.page("/jobs/stock"))
    assert "Health Paused" in shown
    assert "Paused by bo now: stocktaking" in shown
    assert "The job is paused, so it will not fire at the coming times." in shown


def test_the_calendar_counts_the_runs_of_past_days(spring: Site) -> None:
    """By outcome, the worst first; each day links to its runs."""
    for _ in range(2):
        spring.forward(86_400)
    page = spring.client().page("/jobs/prices")
    days = days_of(page)
    assert days["3 March"].startswith("1 run: 1 failed; 1,439 nominal times did not run")
    assert 'class="day is-failed' in page
    since = quote("2026-03-02T23:00:00+00:00", safe="")
    assert f"/runs?job=prices&amp;since={since}" in page
    assert "is-missed" in spring.client().page("/jobs/stock")


def test_the_calendar_counts_coming_times(spring: Site) -> None:
    """Once a day with its time, or how often; busy jobs too are shown at once."""
    client = spring.client()
    assert days_of(client.page("/jobs/letter"))["6 March"] == "fires at 09:00"
    assert days_of(client.page("/jobs/letter"))["7 March"] == "nothing"
    days = days_of(client.page("/jobs/stock", month="2026-04"))
    assert days["1 April"] == "fires 8,640 times, first at 00:00:00".removesuffix(":00")
    assert len(days) == 30
    page = client.page("/jobs/stock", month="2026-04")
    assert "month=2026-03" in page
    assert "month=2026-05" in page
    assert "Today" in page


def test_the_calendar_ends_with_the_job(spring: Site) -> None:
    """The end, the largest number of fires, and a single time are respected."""
    end = datetime(2026, 3, 10, 12, tzinfo=UTC)
    spring.scheduler.add("greet", cron("0 9 * * *"), id="ends", end=end)
    spring.scheduler.add("greet", cron("0 9 * * *"), id="thrice", max_fires=3)
    client = spring.client()
    days = days_of(client.page("/jobs/ends"))
    assert (days["10 March"], days["11 March"]) == ("fires at 09:00", "nothing")
    days = days_of(client.page("/jobs/thrice"))
    assert [day for day, text in days.items() if "fires" in text] == [
        "3 March", "4 March", "5 March",
    ]  # fmt: skip
    assert "fires" not in " ".join(days_of(client.page("/jobs/thrice", month="2026-04")).values())


@pytest.mark.parametrize(
    ("tz", "month", "day", "text"),
    [
        (
            "Europe/Madrid", "2026-03", "29 March",
            "fires at 03:30; clocks go forward from 02:00 to 03:00 "
            "(02:30 does not exist on 2026-03-29)",
        ),
        (
            "Europe/Madrid", "2026-10", "25 October",
            "fires at 02:30; clocks go back from 03:00 to 02:00 (the first 02:30 of that day)",
        ),
        (
            "America/New_York", "2026-03", "8 March",
            "fires at 03:30; clocks go forward from 02:00 to 03:00 "
            "(02:30 does not exist on 2026-03-08)",
        ),
        (
            "America/New_York", "2026-11", "1 November",
            "fires at 02:30; clocks go back from 02:00 to 01:00",
        ),
    ],
)  # fmt: skip
def test_the_calendar_marks_clock_changes(
    spring: Site, tz: str, month: str, day: str, text: str
) -> None:
    """In the zone of the job, with the times of the job that a change affects."""
    spring.scheduler.add("greet", cron("30 2 * * *", tz=tz), id="nightly")
    page = spring.client().page("/jobs/nightly", month=month)
    days = days_of(page)
    assert days[day] == text
    assert page.count("clocks go") >= 2
    assert sum("clocks" in other for other in days.values()) == 1
    assert tz in text_of(page)


def test_the_calendar_marks_exclusions(spring: Site) -> None:
    """Days on which a calendar excludes times of the job, or moves them."""
    trigger = cron("0 9 * * *")
    spring.scheduler.add("greet", trigger.excluding(weekends()), id="weekdays")
    spring.scheduler.add(
        "greet", trigger.excluding(weekends(), shift="next_working_day"), id="moved"
    )
    client = spring.client()
    days = days_of(client.page("/jobs/weekdays"))
    assert days["7 March"] == "excluded by weekends"
    assert days["6 March"] == "fires at 09:00"
    assert days_of(client.page("/jobs/moved"))["7 March"] == "moved to Mon 9 Mar (weekends)"


@pytest.mark.parametrize(
    "month",
    ["2026-13", "2026-00", "26-01", "1989-12", "2200-01", "x", "2026-01-01", "\uff12026-01"],
)
def test_other_months_are_refused(client: Client, month: str) -> None:
    """A month that does not exist, or is out of range, is an error of the request."""
    assert client.get(f"{MOUNT}/jobs/stock", params={"month": month}).status_code == 422


@pytest.mark.parametrize("month", ["1990-01", "2199-12", "2000-02"])
def test_the_first_and_the_last_month(client: Client, month: str) -> None:
    """They can be shown; links lead nowhere else."""
    page = client.page("/jobs/letter", month=month)
    assert "month=1989-12" not in page
    assert "month=2200-01" not in page


def test_durations_and_lateness(site: Site, client: Client) -> None:
    """Each run has a bar with a link, and a row in the table beside it."""
    for _ in range(3):
        site.forward(10)
    page = client.page("/jobs/stock")
    chart = page.partition('class="durations"')[2].partition("</svg>")[0]
    assert chart.count("<a href=") == 3
    assert "succeeded, took 0 ms, started 0 ms late" in chart
    table = page.partition("<details")[2].partition("</details>")[0]
    assert table.count('<tr role="row" data-key') == 3


def test_decisions_are_readable(site: Site, client: Client) -> None:
    """Times that did not run are listed with reasons, and can be backfilled."""
    site.forward(10)
    site.forward(50)
    page = client.page("/jobs/stock")
    shown = text_of(page)
    assert "4 times missed 01:00:20 to 01:00:50 only the newest missed time runs" in shown
    start = quote("2026-01-01T01:00:20", safe="")
    end = quote("2026-01-01T01:00:51", safe="")
    assert f"/jobs/stock/backfill?start={start}&amp;end={end}" in page


def test_who_changed_what_when_and_why(site: Site, client: Client) -> None:
    """The newest changes, with actor and reason; what runs did by themselves is left out."""
    site.forward(60)
    site.scheduler.edit("stock", timeout=5, actor=Actor("bo", "it hangs"))
    client.submit("/jobs/stock/pause", reason="stocktaking")
    site.scheduler.run_now("stock", actor="cem")
    shown = text_of(client.page("/jobs/stock")).partition(" Changes ")[2]
    assert re.search(
        r"now cem started a run of the job stock now ana paused the job stock stocktaking "
        r"now bo changed \w+ of the job stock it hangs 1 min ago Duly added the job stock",
        shown,
    ), shown
    failing = text_of(client.page("/jobs/prices")).partition(" Changes ")[2]
    failing = failing.partition("Last runs")[0]
    assert "failed" not in failing


def test_overrides_are_shown_beside_the_code_and_reset(site: Site, client: Client) -> None:
    """Each edited field with both values; reset is for admins, and says how many fields."""
    site.scheduler.edit("stock", trigger=every(seconds=30), timeout=90)
    shown = text_of(client.page("/jobs/stock"))
    assert "trigger every 30 seconds every 10 seconds".lower() in shown.lower()
    assert "Time limit 1 min 30 s none" in shown
    assert "2 fields edited manually will have the values in code again" in shown
    assert "Reset" not in text_of(site.client("operator").page("/jobs/stock"))
    assert site.client("operator").submit("/jobs/stock/reset").status_code == 403
    answer = client.submit("/jobs/stock/reset", reason="done")
    assert answer.headers["location"] == f"{MOUNT}/jobs/stock?done=reset"
    assert site.scheduler.job("stock").overridden == ()
    assert site.scheduler.events(job="stock", newest=True)[0].reason == "done"
    assert "Edited manually" not in client.page("/jobs/stock")


def test_removing_asks_and_says_what_happens(site: Site, client: Client) -> None:
    """To the runs, and that code declares the job again; dependants keep it."""
    shown = text_of(client.page("/jobs/stock"))
    assert "Remove stock? It will never fire again. No run waits; nothing is running." in shown
    assert "Code declares this job, so the next start of the application adds it again." in shown
    site.scheduler.add("greet", after=["stock"], id="report")
    page = client.page("/jobs/stock")
    assert "This job cannot be removed 1 job runs after it: report." in text_of(page)
    assert f'action="{MOUNT}/jobs/stock/remove"' not in page
    assert client.submit("/jobs/stock/remove").status_code == 409
    answer = client.submit("/jobs/report/remove", reason="unused")
    assert answer.headers["location"] == f"{MOUNT}/jobs?done=removed"
    assert site.scheduler.events(kind="job.removed", newest=True)[0].reason == "unused"
    assert site.client("operator").submit("/jobs/stock/remove").status_code == 403
    assert "/remove" not in site.client("operator").page("/jobs/stock")


def test_dependencies_are_drawn_and_listed(site: Site, client: Client) -> None:
    """In both directions, with the outcome that counts; more than fit are counted."""
    site.scheduler.add("greet", after=["stock"], id="load")
    site.scheduler.add("greet", after=["load"], on="failure", id="alarm")
    for number in range(20):
        site.scheduler.add("greet", after=["load"], id=f"mart {number:02}")
    page = client.page("/jobs/load")
    shown = text_of(page)
    assert "Runs after stock" in shown
    assert "Runs before alarm active if it fails mart 00 active" in shown
    assert "And 13 more behind it, not shown here." in shown
    graph = page.partition('class="graph"')[2].partition("</svg>")[0]
    assert graph.count("<a href=") == 10
    assert graph.count("marker-end") == 9
    assert f'href="{MOUNT}/jobs/stock"' in graph
    assert 'id="graph"' not in client.page("/jobs/letter")


def test_long_names_are_shortened_in_the_drawing() -> None:
    """Wide characters count twice; short names stay as they are."""
    assert shortened("short") == "short"
    assert shortened("x" * 24) == "x" * 24
    assert shortened("x" * 25) == "x" * 23 + "…"
    assert shortened("前" * 20) == "前" * 11 + "…"


def test_ids_are_text_in_every_place(site: Site, client: Client) -> None:
    """An id with markup and separators is never markup, and all links lead to the job."""
    site.scheduler.add("greet", every(seconds=10), id=EVIL)
    site.scheduler.add("greet", after=[EVIL], id=f"{EVIL}2")
    site.forward(10)
    page = client.page(path_of(EVIL))
    assert "<script>alert" not in page
    assert f'action="{MOUNT}{path_of(EVIL)}/run"'.replace("&", "&amp;") in page
    for link in set(re.findall(r'href="(/[^"#]*)', page.partition("<main")[2])):
        if link.startswith(f"{MOUNT}/"):
            assert client.get(link.replace("&amp;", "&")).status_code == 200, link
    assert client.get(f"{MOUNT}/jobs/{quote('no such job')}").status_code == 404


def test_secrets_are_hidden(site: Site, client: Client) -> None:
    """Arguments, edited ones too, and reasons are shown without secrets."""
    site.scheduler.add("greet", every(hours=1), id="held", args={"name": "password=geheim"})
    site.scheduler.pause("held", reason="token=geheim")
    assert "geheim" not in client.page("/jobs/held")


def test_what_each_role_sees(site: Site) -> None:
    """A viewer sees no buttons; an operator runs, pauses and backfills; an admin changes."""
    viewer, operator = site.client("viewer"), site.client("operator")
    page = viewer.page("/jobs/stock")
    assert "<form" not in page.partition("<main")[2].partition("</main>")[0]
    assert "/backfill" not in page
    page = operator.page("/jobs/stock")
    for action in ("run", "pause"):
        assert f'action="{MOUNT}/jobs/stock/{action}"' in page
    assert viewer.get(f"{MOUNT}/jobs/stock/backfill").status_code == 403
    for action in ("run", "pause", "resume", "backfill", "reset", "remove"):
        assert viewer.submit(f"/jobs/stock/{action}").status_code == 403


def test_other_owners_are_not_seen(site: Site) -> None:
    """Neither another owner's job nor its neighbours, nor the runs of an earlier owner."""
    site.scheduler.add("greet", every(seconds=10), id="theirs", owner="bolt")
    site.scheduler.add("greet", every(seconds=10), id="ours", owner="acme")
    site.scheduler.add("greet", after=["ours"], id="their child", owner="bolt")
    site.scheduler.add("greet", after=["ours"], id="our child", owner="acme")
    site.forward(10)
    client = site.client("admin", "acme")
    assert client.get(f"{MOUNT}/jobs/theirs").status_code == 404
    assert client.get(f"{MOUNT}/jobs/theirs/backfill").status_code == 404
    page = client.page("/jobs/ours")
    assert "our child" in page
    assert "their" not in page.replace("whether", "").replace("rather", "").replace("their own", "")
    site.scheduler.edit("ours", owner="bolt")
    site.scheduler.edit("ours", owner="acme", actor=None)


def test_a_backfill_is_shown_before_it_is_made(site: Site) -> None:
    """How many, first and last; nothing is written until it is confirmed; progress follows."""
    client = site.client("operator")
    site.scheduler.add("greet", cron("0 * * * *"), id="hourly")
    site.scheduler.pause("hourly")
    site.clock.advance(86_400)
    site.scheduler.resume("hourly")
    site.scheduler.tick()
    site.scheduler.tick()
    before = site.scheduler.events()
    query = {"start": "2026-01-01T06:00", "end": "2026-01-01T12:00"}
    page = client.page("/jobs/hourly/backfill", **query)
    shown = text_of(page)
    assert "6 runs would be created First Thu 1 Jan 06:00:00 UTC+01:00" in shown
    assert "Last Thu 1 Jan 11:00:00" in shown
    assert site.scheduler.events() == before
    fields = dict(
        re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.partition("plan")[2])
    )
    fields.pop("csrf_token")
    answer = client.submit("/jobs/hourly/backfill", **fields, reason="outage")
    assert answer.headers["location"] == f"{MOUNT}/jobs/hourly?done=backfilled"
    runs = [run for run in site.scheduler.runs(job="hourly") if run.cause == "backfill"]
    assert len(runs) == 6
    assert {run.actor for run in runs} == {"ana"}
    shown = text_of(client.page("/jobs/hourly"))
    assert "Backfill by ana of Thu 1 Jan 06:00:00 to Thu 1 Jan 11:00:00" in shown
    assert "0 of 6" in shown
    assert "hourly with 6 runs 2026-01-01 05:00 to 2026-01-01 10:00 UTC outage" in shown
    site.scheduler.run_due()
    assert "0 of 6" not in text_of(client.page("/jobs/hourly"))
    again = text_of(client.page("/jobs/hourly/backfill", **query))
    assert "All times of this period have run." in again


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ({"start": "2026-01-01T06:00", "end": "2026-01-01T06:00"}, 200, "the period is empty"),
        ({"start": "2027-01-01T06:00", "end": "2027-01-02T06:00"}, 200, "not decided yet"),
        (
            {"start": "1999-01-01T06:00", "end": "2026-01-01T06:00"},
            200,
            "a shorter period",
        ),
        ({"start": "0001-01-01T00:00", "end": "9999-12-31T23:59"}, 200, ""),
        ({"start": "2026-01-01", "end": "2026-01-02T06:00"}, 422, ""),
        ({"start": "2026-02-30T06:00", "end": "2026-03-02T06:00"}, 422, ""),
        ({"start": "x", "end": "<script>"}, 422, ""),
        ({"start": "2026-01-01T06:00", "end": "2026-01-02T06:00", "limit": "0"}, 422, ""),
    ],
)
def test_a_bad_period_is_explained(
    client: Client, query: dict[str, str], status: int, text: str
) -> None:
    """On the page itself where it can be corrected there."""
    answer = client.get(f"{MOUNT}/jobs/stock/backfill", params=query)
    assert answer.status_code == status
    assert text in answer.text


def test_a_job_after_others_has_no_times_to_backfill(site: Site, client: Client) -> None:
    """It has no button, and the page says why."""
    site.scheduler.add("greet", after=["stock"], id="load")
    assert "/backfill" not in client.page("/jobs/load")
    query = {"start": "2026-01-01T00:00", "end": "2026-01-01T01:00"}
    assert "has no times of its own" in client.page("/jobs/load/backfill", **query)


def test_an_open_page_is_the_same_for_all_of_a_role(site: Site, client: Client) -> None:
    """Updates contain no token; they name the shown month."""
    answer = client.get(
        f"{MOUNT}/jobs/stock", params={"month": "2026-02"}, headers={"X-Duly-Update": "1"}
    )
    assert answer.status_code == 200
    assert "a-token-of-this-browser" not in answer.text
    assert "February 2026" in answer.text


def test_times_are_those_of_the_zone_of_the_job(site: Site, client: Client) -> None:
    """All times of the page, with the zone on hover."""
    site.scheduler.add("greet", cron("0 9 * * *", tz="America/New_York"), id="ny")
    page = client.page("/jobs/ny")
    assert "Thu 1 Jan, 09:00:00 UTC-05:00" in text_of(page)
    assert "09:00:00 UTC-05:00 (America/New_York)" in page
    assert "Days in America/New_York." in text_of(page)
