"""Dead letters: failed runs in groups, which are retried or discarded together."""

from __future__ import annotations

import html
import re

import pytest

from duly import Retry, Scheduler
from tests.web.site import MOUNT, Client, Site
from tests.web.test_pages import text_of

HOSTILE = "<script>alert('x')</script>"


def declare(scheduler: Scheduler) -> None:
    """The tasks of these tests."""

    @scheduler.task(retry=Retry(attempts=1))
    def charge(customer: int) -> None:
        if customer % 2:
            raise ConnectionError(f"no answer for customer {customer}; password=hunter2")
        raise TimeoutError(f"{HOSTILE} after {customer} s")

    @scheduler.task(retry=Retry(attempts=1), queue="mail")
    def send(customer: int) -> None:
        raise ConnectionError(f"mail {customer} was refused")


@pytest.fixture
def letters(site: Site) -> Site:
    """A site with twelve dead letters: eight of odd customers, three of even ones, one of mail."""
    declare(site.scheduler)
    site.scheduler.remove("prices")
    numbers = [*range(1, 17, 2), 2, 4, 6]
    site.scheduler.enqueue_many("charge", [{"customer": number} for number in numbers])
    site.scheduler.enqueue("send", 1, owner="bolt", queue="default")
    for _ in range(8):
        site.forward(1)
    return site


def shown_groups(page: str) -> list[str]:
    """Return the text of each group."""
    rows = page.partition("<tbody")[2].split("<tr")[1:]
    return [" ".join(re.sub(r"<[^>]*>", " ", "<tr" + row).split()) for row in rows]


def bulk_form(page: str, what: str, number: int = 0) -> dict[str, str]:
    """Return the fields of a form that changes many."""
    form = page.split(f'action="{MOUNT}/bulk/runs/{what}"')[1 + number].partition("</form>")[0]
    found = re.findall(r'name="([^"]+)" value="([^"]*)"', form)
    return {name: html.unescape(value) for name, value in found if name != "csrf_token"}


def test_dead_letters_are_grouped(letters: Site) -> None:
    """By task and error, the largest group first, with counts, message and the newest run."""
    page = letters.client("viewer").page("/dead-letters")
    groups = shown_groups(page)
    assert len(groups) == 3
    assert groups[0].startswith("8 charge ConnectionError no answer for customer …")
    assert groups[1].startswith("3 charge TimeoutError")
    assert "last run" in groups[0]
    example = letters.scheduler.dead_letters()[0].example.id
    assert f'href="{MOUNT}/runs/{example}"' in page
    assert "Last hour 12 24 hours 12 7 days 12 All 12" in text_of(page)


def test_counts_leave_out_what_is_older(letters: Site, client: Client) -> None:
    """Those of the last hour, day and week."""
    letters.forward(2 * 3600)
    assert "Last hour 0 24 hours 12 7 days 12 All 12" in text_of(client.page("/dead-letters"))
    letters.forward(3 * 86400)
    assert "24 hours 0 7 days 12 All 12" in text_of(client.page("/dead-letters"))


def test_a_group_shows_its_different_messages(letters: Site, client: Client) -> None:
    """The most frequent first; each leads to a search for those alone."""

    @letters.scheduler.task(retry=Retry(attempts=1))
    def read(n: int) -> None:
        raise ValueError(f"row {n} is empty" if n < 3 else f"column {n} is missing")

    letters.scheduler.enqueue_many("read", [{"n": n} for n in range(10)])
    for _ in range(6):
        letters.forward(1)
    page = client.page("/dead-letters", task="read")
    (group,) = shown_groups(page)
    assert group.index("7 column … is missing") < group.index("3 row … is empty")
    link = html.unescape(re.findall(r'class="what" href="([^"]+)"', page)[0])
    (only,) = shown_groups(client.get(link).text)
    assert only.startswith("7 read ValueError column … is missing")


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ({"task": "charge"}, 2),
        ({"text": "timeout"}, 1),
        ({"queue": "far"}, 0),
        ({"error_type": "ConnectionError"}, 2),
        ({"tag": "shop"}, 0),
    ],
)
def test_a_search_finds_groups(
    letters: Site, client: Client, query: dict[str, str], number: int
) -> None:
    """By text, task, error, queue and tag."""
    page = client.page("/dead-letters", **query)
    assert len(shown_groups(page)) == number
    assert ("No dead letters match this search." in page) == (number == 0)


def test_nothing_hostile_or_secret_is_shown(letters: Site, client: Client) -> None:
    """Messages are text, and redacted."""
    page = client.page("/dead-letters")
    assert HOSTILE not in page
    assert "hunter2" not in page


def test_a_group_is_retried(letters: Site, client: Client) -> None:
    """A page says how many; confirmed, all of the group are retried, and no others."""
    form = bulk_form(client.page("/dead-letters"), "retry", 1)
    assert form["task"] == "charge"
    question = client.submit("/bulk/runs/retry", **form)
    assert "Retry 8 runs?" in text_of(question.text)
    answer = client.submit("/bulk/runs/retry", **form, confirmed="1")
    assert answer.headers["location"].startswith(f"{MOUNT}/dead-letters?done=runs-retried")
    left = letters.scheduler.dead_letters()
    assert [(group.task, group.total) for group in left] == [("charge", 3), ("send", 1)]


def test_all_that_match_a_search_are_discarded(letters: Site, client: Client) -> None:
    """With a reason."""
    form = bulk_form(client.page("/dead-letters", text="refused"), "discard")
    assert form["text"] == "refused"
    answer = client.submit("/bulk/runs/discard", **form, confirmed="1", reason="no such mailbox")
    assert answer.status_code == 303, answer.text
    states = {run.state for run in letters.scheduler.runs(task="send")}
    assert states == {"discarded"}
    assert letters.scheduler.status().dead == 11


def test_all_are_retried_without_a_search(letters: Site, client: Client) -> None:
    """The question says how many these are."""
    form = bulk_form(client.page("/dead-letters"), "retry")
    assert "Retry 12 runs?" in text_of(client.submit("/bulk/runs/retry", **form).text)


def test_viewers_have_no_buttons(letters: Site) -> None:
    """They see the groups."""
    page = letters.client("viewer").page("/dead-letters")
    assert len(shown_groups(page)) == 3
    assert "/bulk/" not in page


def test_owners_see_and_change_their_dead_letters_alone(letters: Site) -> None:
    """The groups, the counts, and what a confirmed form changes."""
    bolt = letters.client("operator", "bolt")
    page = bolt.page("/dead-letters")
    assert [group.split()[:2] for group in shown_groups(page)] == [["1", "send"]]
    assert "charge" not in page
    bolt.submit("/bulk/runs/retry", **bulk_form(page, "retry"), confirmed="1")
    assert letters.scheduler.status().dead == 11


def test_only_the_newest_are_grouped(
    letters: Site, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With very many, the page says that there are more; all are retried nevertheless."""
    monkeypatch.setattr("duly.web.dashboard.pages.dead_letters.GROUPED", 5)
    page = client.page("/dead-letters")
    assert "All 5+ Only the newest 5 are counted here." in text_of(page)
    form = bulk_form(page, "retry")
    assert "Retry 12 runs?" in text_of(client.submit("/bulk/runs/retry", **form).text)


def test_without_dead_letters_the_page_says_so(site: Site, client: Client) -> None:
    """And offers nothing to do."""
    page = client.page("/dead-letters")
    assert "There are no dead letters." in page
    assert "/bulk/" not in page


def test_a_group_whose_messages_were_not_read_shows_its_newest(
    letters: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages are read of the newest runs only, among which a group may have none."""
    monkeypatch.setattr("duly.web.dashboard.pages.dead_letters.READ", 1)
    groups = shown_groups(letters.client("viewer").page("/dead-letters"))
    assert len(groups) == 3
    assert all("last run" in group for group in groups)
