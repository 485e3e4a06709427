"""The lists of jobs and of runs: filters in the URL, orders, pages, and what each row shows."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest

from duly import cron, every
from duly.web.dashboard.pages import jobs as jobs_page
from duly.web.dashboard.pages import runs as runs_page
from tests.web.site import MOUNT, Client, Site
from tests.web.test_pages import text_of


@pytest.fixture
def fleet(site: Site) -> Site:
    """A site with 60 more jobs, whose owners, queues and tags alternate."""
    for number in range(60):
        site.scheduler.add(
            "greet", every(hours=1 + number % 3), id=f"fleet-{number:02}", tags=["fleet"],
            queue="mail" if number % 2 else "default", owner="acme" if number % 2 else "bolt",
        )  # fmt: skip
    return site


def rows(page: str) -> list[str]:
    """The ids of the jobs, or the links of the runs, in the order of the table."""
    names = re.findall(r'class="name" href="[^"]*/(?:jobs|runs)/([^"?]+)"', page)
    return [html.unescape(name) for name in names]


def link(page: str, text: str) -> str:
    """The target of a link with this text."""
    found = re.search(rf'href="([^"]*)"[^>]*>{re.escape(text)}</a>', page)
    assert found, f"there is no link {text!r}"
    return html.unescape(found[1])


def test_jobs_are_filtered_by_what_the_url_says(fleet: Site) -> None:
    """All filters hold together, and the form shows them."""
    client = fleet.client("viewer")
    page = client.page("/jobs", tag="fleet", queue="mail", owner="acme", state="active", text="-0")
    assert rows(page) == [f"fleet-0{number}" for number in (1, 3, 5, 7, 9)]
    for value in ("mail", "acme", "fleet", "-0"):
        assert f'value="{value}"' in page
    assert "5 jobs" in text_of(page)
    assert "No jobs match this search." in client.page("/jobs", owner="acme", task="none")


def test_failing_jobs(site: Site, client: Client) -> None:
    """Only those whose last run failed, and how often they did."""
    site.forward(60)
    site.forward(60)
    page = client.page("/jobs", failing="1")
    assert rows(page)[0] == "prices"
    assert "1 job" in text_of(page)
    assert "the last 2 runs failed" in text_of(page)


def test_jobs_are_sorted_by_their_next_fire(fleet: Site) -> None:
    """The header is the link, and says which order it is; pages continue in that order."""
    client = fleet.client("viewer")
    page = client.page("/jobs", tag="fleet")
    assert 'aria-sort="ascending"><a href' in page
    assert rows(page)[0] == "fleet-00"
    sorted_page = client.get(link(page, "Next")).text
    first = rows(sorted_page)
    rest = rows(client.get(link(sorted_page, "More jobs")).text)
    fires = [str(fleet.scheduler.job(name).next_fire_at) for name in first + rest]
    assert fires == sorted(fires)
    assert len({*first, *rest}) == 60
    assert client.get(f"{MOUNT}/jobs?order=next&after=nonsense").status_code == 422
    assert client.get(f"{MOUNT}/jobs?order=args").status_code == 422


def test_the_total_is_counted_up_to_a_bound(fleet: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All jobs are counted; where no index helps, a page says that there are more than it shows."""
    client = fleet.client("viewer")
    assert "63 jobs" in text_of(client.page("/jobs"))
    assert "60 jobs" in text_of(client.page("/jobs", tag="fleet"))
    assert "more than 50 jobs" in text_of(client.page("/jobs", task="greet"))


def test_a_search_says_how_far_it_looked(fleet: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page looks at a part of all jobs, and leads to the next part."""
    monkeypatch.setattr(jobs_page, "MAX_SEARCHED", 30)
    client = fleet.client("viewer")
    page = client.page("/jobs", text="fleet-5")
    assert rows(page) == []
    assert "None of these jobs match; there are more." in text_of(page)
    assert "30 jobs were searched for this page." in text_of(page)
    page = client.get(link(page, "Search further")).text
    assert rows(page) == [f"fleet-{number}" for number in range(50, 60)]
    assert rows(client.get(link(page, "First page")).text) == []


def test_a_job_shows_its_last_outcomes(site: Site, client: Client) -> None:
    """As bars, with their number in words for those who do not see them."""
    for _ in range(3):
        site.forward(10)
    site.forward(30)
    page = client.page("/jobs")
    assert 'aria-label="Last runs of stock: 4 succeeded"' in page
    assert 'aria-label="Last runs of prices: 1 failed"' in page
    assert "Last runs of letter" not in page
    assert f'href="{MOUNT}/runs?job=stock"' in page


def test_a_job_shows_its_own_zone_beside_the_pages(site: Site, client: Client) -> None:
    """The next fire in the job's zone, where that differs; the browser adds the viewer's."""
    site.scheduler.add("greet", cron("0 9 * * *", tz="Asia/Tokyo"), id="tokyo")
    shown = text_of(client.page("/jobs"))
    assert "09:00:00 Asia/Tokyo" in shown
    assert "09:00:00 Europe/Madrid" not in shown


def test_jobs_of_other_owners_are_not_listed(fleet: Site) -> None:
    """A restricted user sees only their own, whatever owner the URL names."""
    client = fleet.client("operator", "acme")
    assert "30 jobs" in text_of(client.page("/jobs"))
    assert rows(client.page("/jobs", owner="bolt")) == []
    assert 'name="owner" value="bolt"' in client.page("/jobs", owner="bolt")


def test_only_those_who_may_change_jobs_select_them(fleet: Site) -> None:
    """Viewers have no boxes, and only admins can remove."""
    viewer, operator = (fleet.client(role).page("/jobs") for role in ("viewer", "operator"))
    assert 'name="ids"' not in viewer
    assert 'id="selection"' not in viewer
    assert operator.count('name="ids"') == 50
    assert f'formaction="{MOUNT}/bulk/jobs/pause"' in operator
    assert "/bulk/jobs/remove" not in operator
    assert "/bulk/jobs/remove" in fleet.client("admin").page("/jobs")
    assert "/bulk/runs/discard" not in fleet.client("viewer").page("/runs")


def test_the_selection_repeats_the_filter(fleet: Site) -> None:
    """So that "all that match" means what the list shows."""
    form = fleet.client("operator").page("/jobs", tag="fleet", owner="acme", failing="")
    form = form.partition('id="selection"')[2].partition("</form>")[0]
    assert re.findall(r'name="(\w+)" value="([^"]*)"', form)[2:] == [
        ("tag", "fleet"), ("owner", "acme"), ("every", "1"),
    ]  # fmt: skip
    assert "all 30 that match" in text_of(f"<main>{form}</main>")


def _forward(site: Site) -> None:
    site.forward(60)
    site.scheduler.enqueue("greet", queue="mail")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, ["stock", "prices", "greet"]),
        ({"state": ["failed", "ready"]}, ["prices", "greet"]),
        ({"state": "failed"}, ["prices"]),
        ({"job": "stock"}, ["stock"]),
        ({"task": "fetch_prices"}, ["prices"]),
        ({"queue": "mail"}, ["greet"]),
        ({"cause": "enqueue"}, ["greet"]),
        ({"error_type": "ConnectionError"}, ["prices"]),
        ({"text": "no answer"}, ["prices"]),
        ({"tag": "shop"}, ["stock"]),
        ({"within": "1h"}, ["stock", "prices", "greet"]),
        ({"since": "2030-01-01T00:00"}, []),
        ({"until": "2020-01-01T00:00:00+02:00"}, []),
        ({"owner": "nobody"}, []),
    ],
    ids=str,
)
def test_runs_are_filtered_by_what_the_url_says(
    site: Site, query: dict[str, Any], shown: list[str]
) -> None:
    """Each filter alone, and several states at once."""
    _forward(site)
    page = site.client("viewer").page("/runs", **query)
    table = text_of(f"<main>{page.partition('<tbody')[2]}</main>")
    for name in ("stock", "prices", "greet"):
        assert (f" {name} " in table) == (name in shown), name


@pytest.mark.parametrize(
    "query", [{"since": "yesterday"}, {"state": "no such"}, {"after": "x"}, {"worker": "x"}]
)
def test_bad_queries_of_runs_are_refused(client: Client, query: dict[str, str]) -> None:
    """With 422 and a page that says what is wrong."""
    assert client.get(f"{MOUNT}/runs", params=query).status_code == 422


def test_times_of_runs_are_in_the_zone_of_the_page(site: Site, client: Client) -> None:
    """Without an offset they are local ones; the inputs show them so."""
    page = client.page("/runs", since="2025-07-01T12:00")
    assert 'name="since" value="2025-07-01T12:00:00"' in page
    page = client.page("/runs", until="2025-07-01T12:00:00Z")
    assert 'name="until" value="2025-07-01T14:00:00"' in page


def test_pages_of_runs_keep_several_states(site: Site, client: Client) -> None:
    """The link to the next page repeats every state, and the total is counted where it can be."""
    for _ in range(60):
        site.scheduler.enqueue("greet", delay=600)
    page = client.page("/runs", state=["scheduled", "running"])
    assert "60 runs" in text_of(page)
    target = link(page, "More runs")
    assert target.count("state=") == 2
    assert len(rows(client.get(target).text)) == 10


def test_a_search_of_runs_is_bounded(
    site: Site, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are looked at first."""
    monkeypatch.setattr(runs_page, "MAX_SEARCHED", 2)
    site.forward(60)
    for _ in range(3):
        site.scheduler.enqueue("greet")
    page = client.page("/runs", text="no answer")
    assert "None of these runs match; there are more." in text_of(page)
    page = client.get(link(page, "Search further")).text
    assert "no answer from feed" in text_of(page)


def test_names_in_lists_are_text(site: Site, client: Client) -> None:
    """Owners, tags and queues of a URL, or of a job, never become markup."""
    evil = "<b>x</b>"
    site.scheduler.add("greet", every(hours=1), id="evil", owner=evil, tags=[evil])
    reads: list[Callable[[], str]] = [
        lambda: client.page("/jobs"),
        lambda: client.page("/jobs", owner=evil, tag=evil, queue=evil, task=evil),
        lambda: client.page("/runs", owner=evil, tag=evil, queue=evil, error_type=evil, job=evil),
    ]
    assert not any(evil in read() for read in reads)


def test_further_filters_are_chips_that_can_be_removed(site: Site, client: Client) -> None:
    """The other filters stay; the form of these filters is closed, so that results are in view."""
    page = client.page("/runs", state="failed", job="prices", cause="manual")
    assert '<details class="further">' in page
    chips = page.partition('class="chips"')[2].partition("</p>")[0]
    assert "job: prices" in chips
    assert "cause: manually" in chips
    assert f'href="{MOUNT}/runs?state=failed&amp;cause=manual"' in chips
    assert f'href="{MOUNT}/runs?state=failed&amp;job=prices"' in chips
    assert 'class="chips"' not in client.page("/runs", state="failed")
