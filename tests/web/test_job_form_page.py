"""The form of a job creates and edits jobs without a script, and keeps what was typed."""

from __future__ import annotations

import html
import re
from datetime import date
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel

from duly import Retry, Scheduler, cron, every, secret
from duly.triggers import After, any_of, weekends
from tests.web.site import MOUNT, Client, Site


class Size(Enum):
    small = "small"
    large = "large"


class Address(BaseModel):
    street: str
    zip: int = 0


NINE = {"trigger.kind": "cron", "trigger.cron": "0 9 * * *"}
PARCEL = {"task": "ship", "id": "parcel", "args/address/street": "Main street", **NINE}


@pytest.fixture(autouse=True)
def ship(site: Site) -> None:
    """A task with an enumeration and a nested model."""

    def ship(
        address: Address,
        size: Size = Size.small,
        on: date | None = None,
        note: str = "handle with care",
        api_key: str = "",
    ) -> None:
        """Ship a parcel."""

    site.scheduler.task()(ship)


def inputs(page: str) -> dict[str, Any]:
    """What a browser would send for an untouched page."""
    form = page.partition('id="job-form"')[2]
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<input [^>]*>", form):
        kind, name = (re.search(rf' {key}="([^"]*)"', tag) for key in ("type", "name"))
        value = re.search(r' value="([^"]*)"', tag)
        ticked = not kind or kind[1] not in ("checkbox", "radio") or " checked" in tag
        if name and ticked:
            found.setdefault(html.unescape(name[1]), []).append(
                html.unescape(value[1] if value else "")
            )
    for name, body in re.findall(
        r'<textarea[^>]* name="([^"]*)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL
    ):
        found[html.unescape(name)] = [html.unescape(body)]
    for name, body in re.findall(
        r'<select[^>]* name="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL
    ):
        options = re.findall(r'<option value="([^"]*)"( selected)?', body)
        chosen = [value for value, is_chosen in options if is_chosen] or [options[0][0]]
        found[html.unescape(name)] = [html.unescape(chosen[0])]
    return found


def wrong(page: str) -> dict[str, str]:
    """The messages at the inputs, by the id of the input."""
    found = re.findall(r'<p class="fault" id="f-([^"]*)-problem">(.*?)</p>', page)
    return {name: html.unescape(text) for name, text in found}


def test_the_tasks_are_offered(client: Client) -> None:
    """With their descriptions and arguments; an unknown task is reported."""
    page = client.page("/new-job")
    assert f'href="{MOUNT}/new-job?task=ship"' in page
    assert "Ship a parcel." in page
    assert "takes address, size, on, note, api_key" in page
    assert "There is no task <strong>unknown</strong>" in client.page("/new-job", task="unknown")
    assert f'href="{MOUNT}/new-job"' in client.page("/jobs")
    assert f'href="{MOUNT}/jobs/stock/edit"' in client.page("/jobs/stock")


def test_a_job_is_created(site: Site, client: Client) -> None:
    """With its arguments, options and tags; the reason is in the audit trail."""
    answer = client.submit(
        "/new-job",
        **PARCEL,
        **{
            "args/address/zip": "28001",
            "args/size": '"large"',
            "args/on": "2026-12-24",
            "args/note": "handle with care",
            "args/api_key": 'secret("CARRIER")',
            "options.retry.attempts": "4",
            "options.timeout": "5 min",
            "options.queue": "mail",
            "tags": "shop\r\nparcels",
            "paused": "true",
            "reason": "a new carrier",
        },
    )
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"{MOUNT}/jobs/parcel?done=created",
    )
    assert "The job was created." in client.page("/jobs/parcel", done="created")
    job = site.scheduler.job("parcel")
    assert job.args == {
        "address": {"street": "Main street", "zip": 28001},
        "size": "large",
        "on": "2026-12-24",
        "api_key": "${CARRIER}",
        "$secrets": {"/api_key": "CARRIER"},
    }
    assert job.trigger == cron("0 9 * * *", tz="Europe/Madrid")
    assert (job.options.retry, job.options.timeout) == (Retry(attempts=4), 300)
    assert (job.queue, job.tags, job.state) == ("mail", ("parcels", "shop"), "paused")
    event = site.scheduler.events(kind="job.added", job="parcel")[0]
    assert (event.actor, event.reason) == ("ana", "a new carrier")


def test_what_is_wrong_is_at_its_input(site: Site, client: Client) -> None:
    """The form comes back with 422 and everything that was typed; the first problem has focus."""
    typed = {
        **PARCEL,
        "args/address/street": "",
        "args/address/zip": "<b>",
        "args/on": "tomorrow",
        "args/size": '"large"',
        "args/note": "two\r\nlines <script>",
        "trigger.cron": "0 25 * * *",
        "trigger.every": "17",
        "options.timeout": "soon",
        "tags": "shop",
        "reason": "why not",
    }
    answer = client.submit("/new-job", **typed)
    assert answer.status_code == 422
    problems = wrong(answer.text)
    assert problems.keys() == {"trigger.cron", "args/address/zip", "options.timeout"}
    assert "hour" in problems["trigger.cron"]
    kept = inputs(answer.text)
    for name, text in typed.items():
        assert text.replace("\r\n", "\n") in kept[name], name
    assert "<script>" not in answer.text.partition("<main")[2]
    assert answer.text.count("autofocus") == 1
    field = re.search(r'<input id="f-trigger.cron"[^>]*>', answer.text)
    assert field
    assert ' aria-invalid="true"' in field[0]
    assert 'aria-describedby="f-trigger.cron-note f-trigger.cron-problem"' in field[0]
    assert " autofocus" in field[0]
    assert '<a href="#f-options.timeout">Time limit of an attempt</a>' in answer.text
    assert "parcel" not in [job.id for job in site.scheduler.jobs()]


def test_types_of_the_function_are_checked(client: Client) -> None:
    """What its signature finds is at the input, too."""
    fields = {**PARCEL, "args/address/street": "", "args/on": "tomorrow"}
    assert wrong(client.submit("/new-job", **fields).text).keys() == {
        "args/address/street", "args/on",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "name", "status"),
    [
        ({"id": "stock"}, "id", 409),
        ({"id": "."}, "id", 422),
        ({"tags": "x" * 200}, "tags", 422),
        ({"trigger.kind": "after", "trigger.parents": "unknown"}, "trigger.parents", 422),
        ({"trigger.exclude": "unknown"}, "trigger.exclude", 422),
        ({"trigger.tz": "Mars"}, "trigger.tz", 422),
        ({"options.max_running": "0"}, "options.max_running", 422),
        ({"reason": "x" * 201}, "reason", 422),
    ],
)
def test_what_the_scheduler_refuses_is_at_its_input(
    site: Site, client: Client, fields: dict[str, str], name: str, status: int
) -> None:
    """Whichever part of the form it is about."""
    before = site.scheduler.jobs()
    answer = client.submit("/new-job", **{**PARCEL, **fields})
    assert (answer.status_code, list(wrong(answer.text))) == (status, [name])
    assert site.scheduler.jobs() == before


def test_a_preview_stores_nothing(site: Site, client: Client) -> None:
    """It shows the trigger in English with its next times, marks and warnings."""
    site.scheduler.set_calendar("closed", weekends("wed"))
    fields = {**PARCEL, "trigger.cron": "30 2 * * *", "trigger.exclude": "closed", "preview": "1"}
    answer = client.submit("/new-job", **fields)
    assert answer.status_code == 200
    assert "At 02:30, Europe/Madrid time; except calendar &#39;closed&#39;" in answer.text
    assert answer.text.count("<li") >= 10
    assert '<span class="mark">excluded</span>' in answer.text
    assert "which does not exist on" in answer.text
    assert inputs(answer.text)["trigger.exclude"] == ["", "closed"]
    assert "parcel" not in [job.id for job in site.scheduler.jobs()]
    bad = client.submit("/new-job", **{**fields, "trigger.cron": "x", "args/address/zip": "x"})
    assert (bad.status_code, list(wrong(bad.text))) == (422, ["trigger.cron"])


def test_the_live_preview_is_a_part_of_a_page(site: Site, client: Client) -> None:
    """The script asks for it with what is typed so far."""
    answer = client.submit("/trigger-preview", **{**NINE, "trigger.exclude": "", "trigger.tz": ""})
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith('<p class="says" id="preview-says" role="status">')
    assert "At 09:00, Europe/Madrid time" in answer.text
    answer = client.submit("/trigger-preview", **{**NINE, "trigger.cron": "0 9 <b>"})
    assert 'data-problem="trigger.cron"' in answer.text
    assert "<b>" not in answer.text
    after = {"trigger.kind": "after", "trigger.parents": "stock"}
    assert "After stock succeeded" in client.submit("/trigger-preview", **after).text


def test_an_untouched_form_changes_nothing(site: Site, client: Client) -> None:
    """Whatever is stored: secrets, hidden values, any trigger, every option."""
    scheduler = site.scheduler
    arguments = {
        "address": Address(street=secret("STREET")),
        "note": "two\nlines of password=hunter2",
        "api_key": "geheim",
    }
    scheduler.add("ship", cron("H 9 * * *"), id="parcel", args=arguments, tags=["a b", "c"],
                  retry=Retry(attempts=3, wait=0.5), watch={"failing_after": 2}, jitter=90,
                  catch_up="all", owner="acme")  # fmt: skip
    scheduler.add("greet", any_of(cron("0 9 * * *"), every(hours=5)), id="odd")
    scheduler.add("greet", after=["stock", "odd"], id="child")
    for job_id in ("parcel", "odd", "child", "stock", "letter"):
        before = scheduler.job(job_id)
        page = client.page(f"/jobs/{job_id}/edit")
        assert "geheim" not in page
        assert "hunter2" not in page
        answer = client.submit(f"/jobs/{job_id}/edit", **inputs(page))
        assert answer.headers.get("location") == f"{MOUNT}/jobs/{job_id}?done=unchanged", job_id
        assert scheduler.job(job_id) == before


def test_an_edit_changes_only_what_was_typed(site: Site, client: Client) -> None:
    """Of a job that code declares, only that becomes an override."""
    page = client.page("/jobs/stock/edit")
    assert "Code declares this job." in page
    fields = {**inputs(page), "options.queue": "mail", "trigger.every": "20", "reason": "too often"}
    answer = client.submit("/jobs/stock/edit", **fields)
    assert answer.headers["location"] == f"{MOUNT}/jobs/stock?done=saved"
    job = site.scheduler.job("stock")
    assert job.overridden == ("options.queue", "trigger")
    assert job.trigger is not None
    assert (job.queue, job.trigger.describe()) == ("mail", "every 20 seconds")
    event = site.scheduler.events(kind="job.changed", job="stock")[0]
    assert (event.actor, event.reason) == ("ana", "too often")


def test_a_job_that_was_changed_meanwhile(site: Site, client: Client) -> None:
    """Nothing is saved; the form tells what saving again replaces, and keeps what was typed."""
    fields = inputs(client.page("/jobs/letter/edit")) | {"options.priority": ["5"]}
    site.scheduler.edit("letter", queue="other", actor="ben")
    answer = client.submit("/jobs/letter/edit", **fields)
    assert answer.status_code == 409
    assert "The job was changed after you opened this form." in answer.text
    assert "replaces, in the job as it is now: queue, priority." in " ".join(answer.text.split())
    assert site.scheduler.job("letter").queue == "other"
    again = inputs(answer.text)
    assert again["options.priority"] == ["5"]
    assert client.submit("/jobs/letter/edit", **again).status_code == 303
    assert site.scheduler.job("letter").options.priority == 5


def test_the_trigger_of_a_job_can_become_other_jobs(site: Site, client: Client) -> None:
    """And a cycle is reported at the input."""
    fields = {"trigger.kind": "after", "trigger.parents": "stock", "trigger.on": "always"}
    assert client.submit("/jobs/letter/edit", **fields).status_code == 303
    assert site.scheduler.job("letter").trigger == After(("stock",), "always")
    cycle = {"trigger.kind": "after", "trigger.parents": "letter"}
    answer = client.submit("/jobs/stock/edit", **cycle)
    assert list(wrong(answer.text)) == ["trigger.parents"]


def test_a_job_named_new(site: Site, client: Client) -> None:
    """Its pages and those of the forms are different ones."""
    for job_id in ("new", "edit", "new-job"):
        site.scheduler.add("greet", every(hours=1), id=job_id)
        assert f"<h1>{job_id}</h1>" in client.page(f"/jobs/{job_id}")
        assert f"<h1>Edit {job_id}</h1>" in client.page(f"/jobs/{job_id}/edit")


def test_only_an_admin_sees_the_forms(site: Site) -> None:
    """Others neither see the links nor may open the pages."""
    for role in ("viewer", "operator"):
        client = site.client(role)
        assert "new-job" not in client.page("/jobs")
        assert "/edit" not in client.page("/jobs/stock")
        for path in ("/new-job", "/jobs/stock/edit"):
            assert client.get(MOUNT + path).status_code == 403
            assert client.submit(path, **PARCEL).status_code == 403
        assert client.submit("/trigger-preview", **NINE).status_code == 403


def test_a_restricted_admin_chooses_one_of_their_owners(site: Site) -> None:
    """The form offers them only; another owner, or none, is refused at the input."""
    client = site.client("admin", "acme.bolt")
    page = client.page("/new-job", task="ship")
    assert re.findall(r'<option value="(acme|bolt)"', page) == ["acme", "bolt"]
    assert 'value="stock"' not in page
    for owner in ("", "core"):
        answer = client.submit("/new-job", **PARCEL, **{"options.owner": owner})
        assert (answer.status_code, list(wrong(answer.text))) == (403, ["options.owner"])
    foreign = {"trigger.kind": "after", "trigger.parents": "stock", "options.owner": "acme"}
    answer = client.submit("/new-job", **{**PARCEL, **foreign})
    assert (answer.status_code, list(wrong(answer.text))) == (404, ["trigger.parents"])
    assert client.submit("/new-job", **PARCEL, **{"options.owner": "acme"}).status_code == 303
    assert site.scheduler.job("parcel").owner == "acme"
    taken = client.submit("/jobs/parcel/edit", **{"options.owner": "core"})
    assert (taken.status_code, list(wrong(taken.text))) == (403, ["options.owner"])
    only = inputs(site.client("admin", "acme").page("/new-job", task="ship"))
    assert only["options.owner"] == ["acme"]


def test_a_job_whose_task_is_not_here(site: Site, client: Client) -> None:
    """The page tells why it cannot be edited."""
    url = site.scheduler.store.url.render_as_string(hide_password=False)
    other = Scheduler(url, clock=site.clock)
    other.task(name="elsewhere")(lambda: None)
    other.add("elsewhere", every(hours=1), id="foreign")
    other.stop(grace=0)
    assert "This process does not have the task elsewhere" in client.page("/jobs/foreign/edit")
    answer = client.submit("/jobs/foreign/edit", **{"options.queue": "mail"})
    assert answer.status_code == 422
    assert "No task is registered as" in answer.text
