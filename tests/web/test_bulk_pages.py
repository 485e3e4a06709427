"""Changes of many jobs or runs: a page asks first, and large changes are made in parts."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from duly import every
from duly.web.dashboard.actions import bulk
from tests.web.site import MOUNT, TOKEN, Client, Site
from tests.web.test_pages import text_of

JSON = {"Accept": "application/json"}


@pytest.fixture
def many(site: Site) -> Site:
    """A site with twelve more jobs of the tag ``fleet``, four of which are paused."""
    for number in range(12):
        site.scheduler.add("greet", every(hours=1), id=f"fleet-{number:02}", tags=["fleet"])
    for number in range(4):
        site.scheduler.pause(f"fleet-{number:02}")
    return site


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of five rows."""
    monkeypatch.setattr(bulk, "PART", 5)


def post(client: Client, path: str, fields: dict[str, Any], headers: Any = None) -> Any:
    return client.post(MOUNT + path, data={"csrf_token": TOKEN, **fields}, headers=headers)


def fields_of(page: str) -> dict[str, Any]:
    """The enabled hidden fields of the form that asks."""
    found: dict[str, Any] = {}
    form = page.partition("data-bulk>")[2].partition("</form>")[0]
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form):
        found.setdefault(name, []).append(html.unescape(value))
    return found


def states(site: Site) -> dict[str, str]:
    return {job.id: job.state for job in site.scheduler.jobs(tag="fleet")}


def test_a_selection_is_asked_about_before_it_changes(many: Site) -> None:
    """The question states how many of the selected jobs would change, and changes nothing."""
    client = many.client("operator")
    chosen = ["fleet-03", "fleet-04", "fleet-05"]
    before = many.scheduler.events()
    shown = text_of(post(client, "/bulk/jobs/pause", {"ids": chosen}).text)
    assert "Pause 2 jobs?" in shown  # one of the three is paused already
    assert "fleet-04" in shown
    assert many.scheduler.events() == before


def test_a_confirmed_selection_changes_with_its_reason(many: Site) -> None:
    """Without JavaScript, the form of the question changes all and returns to the list."""
    client = many.client("operator")
    back = f"{MOUNT}/jobs?tag=fleet"
    ask = post(client, "/bulk/jobs/pause", {"ids": ["fleet-04", "fleet-05"], "back": back})
    answer = post(client, "/bulk/jobs/pause", {**fields_of(ask.text), "reason": "moving"})
    assert answer.headers["location"] == f"{back}&done=jobs-paused:2:0"
    job = many.scheduler.job("fleet-05")
    assert (job.state, job.paused_by, job.paused_reason) == ("paused", "ana", "moving")
    assert many.scheduler.job("fleet-06").state == "active"
    assert "2 jobs were paused." in client.get(answer.headers["location"]).text


def test_a_selection_is_one_event_beside_that_of_each_job(many: Site) -> None:
    """The audit trail says how many were selected, and not which: each has its own event."""
    client = many.client("operator")
    fields = {"ids": ["fleet-04", "fleet-05"], "confirmed": "1"}
    post(client, "/bulk/jobs/pause", fields)
    newest = many.scheduler.events(limit=1000)[-3:]
    assert [event.kind for event in newest] == ["job.paused", "job.paused", "jobs.paused"]
    assert newest[-1].detail == {"filter": {"ids": 2}, "changed": 2}


def test_all_that_match_change_in_parts_of_one_request(many: Site, small_parts: None) -> None:
    """Without JavaScript, one request makes all parts."""
    client = many.client("operator")
    ask = post(client, "/bulk/jobs/resume", {"every": "1", "tag": "fleet", "ids": ["stock"]})
    assert "Resume 4 jobs?" in text_of(ask.text)
    assert "All jobs that match: tag: fleet" in text_of(ask.text)
    answer = post(client, "/bulk/jobs/resume", fields_of(ask.text))
    assert answer.headers["location"] == f"{MOUNT}/jobs?done=jobs-resumed:4:0"
    assert set(states(many).values()) == {"active"}


def test_a_script_makes_one_request_for_each_part(many: Site, small_parts: None) -> None:
    """Each response has the fields of the next request, and the last one the page to go to."""
    client = many.client("operator")
    fields: dict[str, Any] = {"every": "1", "tag": "fleet", "confirmed": "1"}
    answers: list[Any] = []
    for _part in range(3):
        answers.append(post(client, "/bulk/jobs/pause", fields, JSON).json())
        fields |= answers[-1]["fields"]
    assert [answer["done"] for answer in answers] == [1, 6, 8]
    assert answers[-1]["to"] == f"{MOUNT}/jobs?done=jobs-paused:8:0"
    assert set(states(many).values()) == {"paused"}


@pytest.mark.parametrize(("count", "part"), [(1, 100), (500, 100), (3000, 300), (50_000, 1000)])
def test_the_progress_of_a_change_moves(count: int, part: int) -> None:
    """A change is made in about ten parts, unless these would be very small or very large."""
    assert bulk.part_of(count) == part


def test_the_script_says_how_large_a_part_is(many: Site) -> None:
    """Its requests have the size that the question has chosen; others change all at once."""
    client = many.client("operator")
    fields: dict[str, Any] = {"every": "1", "tag": "fleet"}
    ask = post(client, "/bulk/jobs/pause", fields).text
    assert '<input type="hidden" name="part" value="100" disabled>' in ask
    fields |= {"confirmed": "1", "part": "6"}
    answer = post(client, "/bulk/jobs/pause", fields, JSON).json()
    assert (answer["to"], answer["done"]) == (None, 2)
    assert post(client, "/bulk/jobs/pause", {**fields, "part": "1001"}, JSON).status_code == 422


def test_a_change_can_be_stopped_between_two_parts(many: Site, small_parts: None) -> None:
    """What was changed until then stays changed, and the confirmation counts it."""
    client = many.client("operator")
    fields: dict[str, Any] = {"every": "1", "tag": "fleet", "confirmed": "1"}
    fields |= post(client, "/bulk/jobs/pause", fields, JSON).json()["fields"]
    answer = post(client, "/bulk/jobs/pause", {**fields, "stop": "1"}, JSON).json()
    assert answer["to"] == f"{MOUNT}/jobs?done=jobs-paused:1:0"
    assert list(states(many).values()).count("paused") == 5


def test_without_a_selection_nothing_is_asked(many: Site) -> None:
    """The page says what to do; even a confirmation changes nothing."""
    client = many.client("operator")
    assert "Nothing is selected." in text_of(post(client, "/bulk/jobs/pause", {}).text)
    answer = post(client, "/bulk/jobs/pause", {"confirmed": "1"})
    assert answer.headers["location"] == f"{MOUNT}/jobs?done=jobs-paused:0:0"
    assert many.scheduler.job("stock").state == "active"


def test_only_admins_remove_many_jobs(many: Site) -> None:
    """All jobs that match are removed together, so that parents and children may be among them."""
    fields = {"every": "1", "tag": "fleet", "confirmed": "1"}
    assert post(many.client("operator"), "/bulk/jobs/remove", fields).status_code == 403
    assert len(states(many)) == 12
    answer = post(many.client("admin"), "/bulk/jobs/remove", fields)
    assert answer.headers["location"] == f"{MOUNT}/jobs?done=jobs-removed:12:0"
    assert states(many) == {}


def test_all_failed_runs_of_a_filter_are_retried(site: Site, small_parts: None) -> None:
    """Runs that an overlap policy refuses are counted as left, and the rest starts again."""
    for _minute in range(7):
        site.forward(60)
    client = site.client("operator")
    ask = post(client, "/bulk/runs/retry", {"every": "1", "task": "fetch_prices"})
    assert "Retry 7 runs?" in text_of(ask.text)
    answer = post(client, "/bulk/runs/retry", fields_of(ask.text))
    assert answer.headers["location"] == f"{MOUNT}/runs?done=runs-retried:1:6"
    page = client.get(answer.headers["location"]).text
    assert "1 run will be tried again. 6 runs were left unchanged" in page


def test_a_filter_changes_only_runs_that_can_be_changed(site: Site) -> None:
    """Runs of a list that shows several states are only those to which the action applies."""
    site.forward(60)
    client = site.client("operator")
    fields = {"every": "1", "state": ["failed", "succeeded"], "task": "count_stock"}
    assert (
        "None of the selected runs would change." in post(client, "/bulk/runs/discard", fields).text
    )
    fields["task"] = "fetch_prices"
    assert "Discard 1 run?" in text_of(post(client, "/bulk/runs/discard", fields).text)


def test_discarding_needs_a_reason(site: Site) -> None:
    """A script is told so in JSON."""
    site.forward(60)
    client = site.client("operator")
    fields = {"ids": [site.run_of("prices")], "confirmed": "1"}
    answer = post(client, "/bulk/runs/discard", fields, JSON)
    assert (answer.status_code, answer.json()["detail"]) == (422, "Give a reason.")
    assert site.scheduler.run(site.run_of("prices")).state == "failed"
    post(client, "/bulk/runs/discard", {**fields, "reason": "known"})
    assert site.scheduler.run(site.run_of("prices")).state == "discarded"


def test_selected_runs_are_cancelled(site: Site) -> None:
    """Those that have ended meanwhile stay as they are."""
    waiting = [site.scheduler.enqueue("greet", delay=600) for _ in range(2)]
    site.forward(10)
    fields = {"ids": [*waiting, site.run_of("stock")], "confirmed": "1"}
    answer = post(site.client("operator"), "/bulk/runs/cancel", fields)
    assert answer.headers["location"] == f"{MOUNT}/runs?done=runs-cancelled:2:0"
    assert {site.scheduler.run(run_id).state for run_id in waiting} == {"cancelled"}
    assert site.scheduler.run(site.run_of("stock")).state == "succeeded"


@pytest.mark.parametrize("path", ["/bulk/jobs/pause", "/bulk/runs/cancel"])
def test_viewers_change_nothing(many: Site, path: str) -> None:
    """They are not even asked."""
    fields = {"every": "1", "confirmed": "1"}
    assert post(many.client("viewer"), path, fields).status_code == 403


def test_a_selection_of_another_owner_is_not_found(site: Site) -> None:
    """A restricted user changes only the jobs of their owners, whatever the form says."""
    for owner in ("acme", "bolt"):
        site.scheduler.add("greet", every(hours=1), id=f"of-{owner}", owner=owner)
    client = site.client("operator", "acme")
    ask = post(client, "/bulk/jobs/pause", {"ids": ["of-acme", "of-bolt", "stock"]})
    assert "Pause 1 job?" in text_of(ask.text)
    assert "of-bolt" not in text_of(ask.text)
    post(client, "/bulk/jobs/pause", {"every": "1", "confirmed": "1"})
    paused = [job.id for job in site.scheduler.jobs(state="paused")]
    assert paused == ["of-acme"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/bulk/jobs/pause", {"ids": ["x"] * 1001}),
        ("/bulk/jobs/pause", {"state": "no such"}),
        ("/bulk/jobs/pause", {"owners": "acme"}),
        ("/bulk/jobs/pause", {"every": "1", "changed": "-1"}),
        ("/bulk/runs/cancel", {"ids": ["no id"]}),
        ("/bulk/runs/cancel", {"every": "1", "since": "yesterday"}),
        ("/bulk/runs/cancel", {"every": "1", "after": "x", "confirmed": "1"}),
    ],
)
def test_bad_forms_are_refused(client: Client, path: str, fields: dict[str, Any]) -> None:
    """None of them is an error of the server."""
    assert post(client, path, fields).status_code in {400, 422}


@pytest.mark.parametrize("area", ["runs", "dead-letters"])
def test_the_question_lies_in_the_area_it_was_opened_from(site: Site, area: str) -> None:
    """The navigation marks it, and the link above the title leads to it."""
    site.forward(60)
    back = f"{MOUNT}/{area}?task=prices"
    page = site.client("operator").submit("/bulk/runs/retry", every="1", state="failed", back=back)
    assert "Retry 1 run?" in page.text
    marked = page.text.partition(' aria-current="page"')[0].rpartition("<a ")[2]
    assert f'href="{MOUNT}/{area}"' in marked
    assert f'class="trail"><a href="{MOUNT}/{area}">' in page.text
    assert f'name="back" value="{back}"' in page.text
