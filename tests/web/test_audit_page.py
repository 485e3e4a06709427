"""The audit trail as a page: who did what, when and why, in sentences."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from duly.model.event import KINDS, Event
from duly.web.dashboard.sentences import SENTENCES, sentence, title, why
from tests.web.site import MOUNT, Client, Site
from tests.web.test_pages import text_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def said(event: Event) -> str:
    return "".join(part.text for part in sentence(event))


def test_it_tells_who_did_what_and_why(site: Site, client: Client) -> None:
    """With links to the actor, the job and the run, the newest first."""
    client.submit("/jobs/letter/pause", reason="holidays")
    site.clock.advance(60)
    site.scheduler.run_now("stock", actor="ben")
    page = client.page("/audit")
    shown = text_of(page)
    assert "ana paused the job letter: holidays" in shown
    assert "ben started a run of the job stock" in shown
    assert shown.index("ben started") < shown.index("ana paused")
    assert f'href="{MOUNT}/audit?actor=ana"' in page
    assert f'href="{MOUNT}/jobs/letter"' in page
    assert f'href="{MOUNT}/runs/{site.run_of("stock")}"' in page


def test_details_name_the_request(site: Site, client: Client) -> None:
    """The id of the request, and the facts that the sentence leaves out."""
    answer = client.submit("/queues/mail/pause", reason="slow")
    shown = text_of(client.page("/audit", kind="queue.paused"))
    assert f"Request {answer.headers['x-request-id']}" in shown
    assert "ana paused the queue mail: slow" in shown
    assert "Kind queue.paused" in shown


def test_every_kind_of_event_has_a_sentence() -> None:
    """No event is shown by its technical name, and none of its facts is unknown."""
    assert SENTENCES.keys() == KINDS


def test_sentences() -> None:
    """Duly is the actor of what happens by itself; enqueued runs have no job."""
    assert said(Event("job.paused", NOON, job_id="a")) == "Duly paused the job a"
    assert said(Event("run.failed", NOON, run_id="1", job_id="a")) == "A run of the job a failed"
    assert said(Event("run.failed", NOON, run_id="1")) == "A run of an enqueued task failed"
    changed = Event(
        "job.changed", NOON, job_id="a", actor="ana", detail={"fields": ["tags", "retry"]}
    )
    assert said(changed) == "ana changed tags, retry of the job a"
    failed = Event("run.failed", NOON, detail={"error": "KeyError", "message": "'x'"})
    assert why(failed) == "KeyError: 'x'"
    removed = Event("job.removed", NOON, job_id="a", actor="ana")
    assert not [part for part in sentence(removed) if part.links == "job"], "its page is gone"


PAUSED = "ana paused the job letter"
RESUMED = "ben resumed the job letter"
STARTED = "ben started a run of the job stock"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {PAUSED, RESUMED, STARTED}),
        ({"kind": "job.paused"}, {PAUSED}),
        ({"actor": "ben"}, {RESUMED, STARTED}),
        ({"job": "stock"}, {STARTED}),
        ({"since": "2026-01-01T01:30"}, {RESUMED, STARTED}),
        ({"until": "2026-01-01 01:30"}, {PAUSED}),
        ({"since": "2026-01-01T00:30:00Z", "actor": "ana"}, set()),
    ],
)
def test_filters(site: Site, client: Client, query: dict[str, str], found: set[str]) -> None:
    """All of them are in the URL; a time without an offset is in the page's zone."""
    site.scheduler.pause("letter", actor="ana")
    site.clock.advance(3600)
    site.scheduler.resume("letter", actor="ben")
    site.scheduler.run_now("stock", actor="ben")
    shown = text_of(client.page("/audit", **query))
    assert {line for line in (PAUSED, RESUMED, STARTED) if line in shown} == found


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"kind": "job.vanished"}])
def test_a_filter_that_is_not_valid_comes_back(client: Client, query: dict[str, str]) -> None:
    """With what is wrong, and with what was typed."""
    answer = client.get(f"{MOUNT}/audit", params=query)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert next(iter(query.values())) in answer.text


def test_events_come_in_pages(site: Site, client: Client) -> None:
    """A page has fifty events; the link to older ones keeps the filters."""
    for number in range(60):
        site.scheduler.pause("letter", reason=f"number {number}", actor="ana")
        site.scheduler.resume("letter", actor="ben")
    page = client.page("/audit", kind="job.paused")
    assert page.count("<li data-row") == 50
    link = page.partition('class="pages"')[2].partition('href="')[2].partition('"')[0]
    assert "kind=job.paused" in link
    rest = client.get(link.replace("&amp;", "&")).text
    assert rest.count("<li data-row") == 10
    assert "number 0<" in rest


def test_secrets_are_hidden(site: Site, client: Client) -> None:
    """In reasons and in details, as everywhere."""
    site.scheduler.pause("letter", reason="password=hunter2", actor="ana")
    assert "hunter2" not in client.page("/audit")


def test_restricted_users_see_the_events_of_their_owners(site: Site) -> None:
    """And neither those of others nor of all; nor can they search for these."""
    site.scheduler.edit("stock", owner="acme", actor="ana")
    site.scheduler.pause_queue("mail", actor="ana")
    site.scheduler.pause("letter", actor="ana")
    page = site.client("viewer", "acme").page("/audit")
    assert "the job stock" in text_of(page)
    assert "letter" not in text_of(page)
    assert "the queue mail" not in text_of(page)
    assert 'value="queue.paused"' not in page


def test_every_kind_of_event_has_a_title_of_its_own() -> None:
    """The search offers words; none of them is about one event, and no two are the same."""
    titles = {title(kind) for kind in KINDS}
    assert len(titles) == len(KINDS)
    assert not [each for each in titles if "{" in each or "." in each]
    assert {"Paused a job", "A run failed", "Changed a calendar", "A job missed times"} <= titles


def test_the_search_offers_words(client: Client) -> None:
    """The technical name is the value, which the address keeps."""
    page = client.page("/audit", kind="job.paused")
    assert '<option value="job.paused" selected>Paused a job</option>' in page


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({"tag": "team:platform"}, "tag team:platform"),
        ({"states": ["failed", "missed"], "error_type": "KeyError"},
         "state failed, missed, error type KeyError"),
        ({"failing": True}, "failing"),
        ({"ids": 7}, "selected"),
        ({}, "all"),
    ],
)  # fmt: skip
def test_a_change_of_many_names_its_filter(conditions: dict[str, object], words: str) -> None:
    """What was selected, without opening the details."""
    event = Event("jobs.paused", NOON, actor="ana", detail={"filter": conditions, "changed": 7})
    assert said(event) == f"ana paused 7 jobs ({words})"
