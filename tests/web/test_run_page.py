"""The page of a run explains what happened, and changes the run."""

from __future__ import annotations

import html
import logging
from contextlib import nullcontext
from datetime import timedelta
from unittest.mock import Mock

import pytest

from duly import Retry, Run, Scheduler, every
from tests.web.site import MOUNT, Client, Site
from tests.web.test_pages import text_of

HOSTILE = "<script>alert('x')</script>"


def declare(scheduler: Scheduler) -> None:
    """The tasks of these tests."""

    @scheduler.task(retry=Retry(attempts=1))
    def load(source: str = "feed", api_token: str = "", rows: int = 1) -> str:
        if source == "feed":
            raise LookupError(f"{HOSTILE} no rows; password=hunter2")
        return f"{rows} rows of {source} with {api_token}"

    @scheduler.task(retry=Retry(attempts=3, wait=60, jitter=0))
    def flaky(run: Run) -> str:
        run.log.info("attempt %d", run.attempt)
        if run.attempt < 3:
            raise ConnectionError(f"attempt {run.attempt} failed")
        return "done"

    @scheduler.task()
    def chatty(lines: int, run: Run) -> None:
        for number in range(lines):
            run.log.info("line %d", number)
        run.log.warning("%s token=geheim", HOSTILE)
        run.log.log(logging.CRITICAL, "the end")


@pytest.fixture
def failed(site: Site) -> str:
    """A run that has failed."""
    declare(site.scheduler)
    run_id = site.scheduler.enqueue("load", args={"source": "feed", "api_token": "geheim"})
    site.forward(1)
    return run_id


def test_each_attempt_is_listed_with_its_outcome(site: Site, client: Client) -> None:
    """The last first: state, time, duration, worker, and why it failed."""
    declare(site.scheduler)
    run_id = site.scheduler.enqueue("flaky")
    for _ in range(6):
        site.forward(61)
    shown = text_of(client.page(f"/runs/{run_id}"))
    listed = shown.partition("Attempts")[2].partition("Details")[0]
    states = [word for word in listed.split() if word in ("failed", "succeeded")]
    assert states[0] == "succeeded"
    assert listed.index("ConnectionError: attempt 2 failed") < listed.index(
        "ConnectionError: attempt 1 failed"
    )
    assert ", pid " in listed


def test_the_running_attempt_is_listed(site: Site, client: Client) -> None:
    """It has no end yet."""
    declare(site.scheduler)
    site.scheduler.enqueue("flaky")
    site.forward(1)
    run = site.scheduler.runs(task="flaky")[0]
    assert run.state == "scheduled"
    shown = text_of(client.page(f"/runs/{run.id}"))
    assert "Why it has not started Attempt 2 of 3 starts in" in shown
    assert "retry policy" in shown


def test_frames_of_libraries_are_folded(site: Site, client: Client, failed: str) -> None:
    """Those of the application are shown without a click."""
    page = client.page(f"/runs/{failed}")
    error = page.partition('id="error"')[2].partition("</section>")[0]
    open_text = "".join(part.partition("</details>")[2] for part in error.split("<details"))
    assert "in load" in error
    assert "test_run_page.py" in (open_text or error)


def test_nothing_hostile_or_secret_is_shown(site: Site, client: Client, failed: str) -> None:
    """In arguments, errors, tracebacks and log lines; neither on pages nor in the file."""
    run_id = site.scheduler.enqueue("chatty", 3)
    site.forward(1)
    paths = [f"/runs/{failed}", f"/runs/{failed}/retry", f"/runs/{run_id}", f"/runs/{run_id}/log"]
    for path in paths:
        page = client.page(path)
        assert HOSTILE not in page, path
        assert "hunter2" not in page, path
        assert "geheim" not in page, path
    text = client.get(f"{MOUNT}/runs/{run_id}/log.txt").text
    assert "token=[hidden]" in text
    assert "geheim" not in text


def test_the_log_is_a_file(site: Site, client: Client) -> None:
    """All lines, as text that no browser shows as a page."""
    declare(site.scheduler)
    run_id = site.scheduler.enqueue("chatty", 2)
    site.forward(1)
    answer = client.get(f"{MOUNT}/runs/{run_id}/log.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="run-{run_id}.log.txt"'
    lines = answer.text.splitlines()
    assert len(lines) == 4
    assert lines[0].endswith("Z INFO     line 0")
    assert lines[-1].endswith("Z CRITICAL the end")


def test_the_log_can_be_searched_without_a_script(site: Site, client: Client) -> None:
    """The search is part of the address; case does not matter."""
    declare(site.scheduler)
    run_id = site.scheduler.enqueue("chatty", 12)
    site.forward(1)
    shown = text_of(client.page(f"/runs/{run_id}", log="LINE 1"))
    assert "line 1" in shown
    assert "line 11" in shown
    assert "line 2" not in shown
    assert "No line contains “nothing”." in client.page(f"/runs/{run_id}", log="nothing")
    assert "the end" in text_of(client.page(f"/runs/{run_id}", log="critical"))


def test_only_the_newest_lines_are_shown(
    site: Site, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link leads to the rest."""
    monkeypatch.setattr("duly.web.dashboard.pages.run_log.MAX_LINES", 3)
    declare(site.scheduler)
    run_id = site.scheduler.enqueue("chatty", 10)
    site.forward(1)
    page = client.page(f"/runs/{run_id}")
    assert page.count("data-line=") == 3
    assert "9 older lines are not shown here" in text_of(page)
    assert f'href="{MOUNT}/runs/{run_id}/log"' in page
    first = client.page(f"/runs/{run_id}/log")
    assert "line 2" in first
    assert "line 3" not in first
    link = html.unescape(first.partition('class="pages"')[2].partition('href="')[2].split('"')[0])
    assert "line 3" in client.get(link).text
    assert "No line contains “none” here." in client.page(f"/runs/{run_id}/log", log="none")


def test_an_update_has_no_log_lines_and_new_ones_are_read_apart(site: Site, client: Client) -> None:
    """An open page receives each line once, however long the log is."""
    declare(site.scheduler)
    run_id = site.scheduler.enqueue("chatty", 5)
    site.forward(1)
    header = {"X-Duly-Update": "1"}
    update = client.get(f"{MOUNT}/runs/{run_id}", headers=header).text
    assert "data-line=" not in update
    assert "data-log=" in update
    ids = [line.id or 0 for line in site.scheduler.run_log(run_id)]
    part = client.get(f"{MOUNT}/runs/{run_id}/log?after={ids[-3]}", headers=header).text
    assert part.count("data-line=") == 2
    assert "the end" in part
    assert "line 4" not in part
    assert "<main" not in part


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.stop_all(reason="x"), "The scheduler is switched off"),
        (lambda s: s.pause_queue("default", reason="slow"), "The queue default is paused: slow."),
        (lambda s: None, "It starts as soon as one of"),
    ],
)
def test_a_run_that_waits_says_why(site: Site, client: Client, change: object, said: str) -> None:
    """The first gates that it has not passed."""
    change(site.scheduler)  # type: ignore[operator]
    run = site.scheduler.run_now("stock")
    shown = text_of(client.page(f"/runs/{run.id}"))
    assert said in shown.partition("Why it has not started")[2]


def test_a_queue_without_a_worker_is_the_reason(site: Site, client: Client) -> None:
    """It names the queue; and when no worker is alive, that."""
    declare(site.scheduler)
    run_id = site.scheduler.enqueue("load", queue="far")
    assert "No worker serves the queue far." in text_of(client.page(f"/runs/{run_id}"))
    site.clock.advance(3600)
    assert "No worker is alive." in text_of(client.page(f"/runs/{run_id}")).partition("Why")[2]


def test_a_run_that_waits_beside_free_slots_says_so(site: Site, client: Client) -> None:
    """After a minute: perhaps no worker knows its task. Slots of draining workers do not count."""
    url = site.scheduler.store.url.render_as_string(hide_password=False)
    other = Scheduler(url, clock=site.clock, queues={"default": 4})

    @other.task(name="theirs")
    def theirs() -> None: ...

    other.tick()
    assert other.worker_id is not None
    client.submit(f"/workers/{other.worker_id}/drain")
    other.tick()
    run_id = other.enqueue(theirs)
    site.forward(60)
    waits = text_of(client.page(f"/runs/{run_id}")).partition("Why it has not started")[2]
    assert waits.startswith(" It starts as soon as one of 10 slots of the queue default is free")
    site.forward(1)
    waits = text_of(client.page(f"/runs/{run_id}")).partition("Why it has not started")[2]
    assert "It has been due for 1 min 1 s although 10 of 10 slots of the queue default" in waits
    other.stop(grace=0)
    assert "Perhaps no worker that serves the queue knows its task, theirs" in waits


def test_a_later_run_says_when(site: Site, client: Client) -> None:
    """A delayed call is not a problem."""
    declare(site.scheduler)
    run_id = site.scheduler.enqueue("load", delay=timedelta(hours=2))
    assert "It is due in 2 h." in text_of(client.page(f"/runs/{run_id}"))


def test_parents_and_children_are_linked(site: Site, client: Client) -> None:
    """Each with its state."""
    site.scheduler.add("greet", after=["stock"], id="after stock")
    site.forward(10)
    site.forward(1)
    parent, child = site.run_of("stock"), site.run_of("after stock")
    page = client.page(f"/runs/{parent}")
    assert f'href="{MOUNT}/runs/{child}"' in page.partition("Runs after this one")[2]
    assert (
        f'href="{MOUNT}/runs/{parent}"' in client.page(f"/runs/{child}").partition("Runs after")[2]
    )


def test_the_trace_is_named(site: Site, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its id can be copied, and the API has the trace context."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = Mock(traceparent=f"00-{trace}-b7ad6b7169203331-01")
    monkeypatch.setattr("duly.operations.runs.sending", lambda *_, **__: nullcontext(sent))
    run = site.scheduler.run_now("letter")
    assert f"Trace {trace}" in text_of(client.page(f"/runs/{run.id}"))
    assert client.api(f"/runs/{run.id}")["traceparent"].startswith(f"00-{trace}")


def test_what_users_did_is_listed(site: Site, client: Client, failed: str) -> None:
    """Who, when and why."""
    client.submit(f"/runs/{failed}/retry", reason="feed is back")
    assert "ana started it over: feed is back" in text_of(client.page(f"/runs/{failed}"))


def test_a_run_is_retried_with_other_arguments(site: Site, client: Client, failed: str) -> None:
    """What is hidden keeps its value; the page keeps the former arguments, redacted."""
    form = client.page(f"/runs/{failed}/retry")
    text = html.unescape(form.partition("<textarea")[2].partition(">")[2].partition("</")[0])
    assert '"api_token": "[hidden]"' in text
    edited = text.replace('"feed"', '"file"')
    answer = client.submit(f"/runs/{failed}/retry", args=edited, reason="the feed is gone")
    assert answer.headers["location"] == f"{MOUNT}/runs/{failed}?done=retried"
    site.forward(1)
    run = site.scheduler.run(failed)
    assert run.result == "1 rows of file with geheim"
    page = client.page(f"/runs/{failed}")
    assert "arguments before" in page
    assert "&#34;source&#34;: &#34;feed&#34;" in page
    assert "geheim" not in page.replace("with geheim", "")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("{", "not valid JSON"),
        ("[1]", "Arguments are a JSON object"),
        ('{"source": "[hidden]"}', "/source: [hidden] stands for text that is not shown"),
        ('{"source": 7, "other": 1}', "other"),
    ],
)
def test_arguments_that_are_not_valid_come_back_with_the_reason(
    site: Site, client: Client, failed: str, args: str, said: str
) -> None:
    """Nothing changes, and nothing that was written is lost."""
    answer = client.submit(f"/runs/{failed}/retry", args=args)
    assert answer.status_code == 422
    page = html.unescape(answer.text)
    assert "Nothing has changed." in page
    assert said in page
    assert args in page
    assert site.scheduler.run(failed).state == "failed"


def test_the_api_retries_with_other_arguments(site: Site, client: Client, failed: str) -> None:
    """Hidden text keeps its value there, too."""
    shown = client.api(f"/runs/{failed}")["args"]
    answer = client.do(f"/runs/{failed}/retry", {"args": {**shown, "source": "file"}})
    assert answer.status_code == 200, answer.text
    assert site.scheduler.run(failed).args["api_token"] == "geheim"
    assert site.scheduler.run(failed).args["source"] == "file"


def test_viewers_change_nothing(site: Site, failed: str) -> None:
    """They have no buttons; the form and its page refuse them."""
    viewer = site.client("viewer")
    page = viewer.page(f"/runs/{failed}")
    assert "/retry" not in page
    assert "/discard" not in page
    assert viewer.get(f"{MOUNT}/runs/{failed}/retry").status_code == 403
    assert viewer.submit(f"/runs/{failed}/retry", args="{}").status_code == 403
    assert viewer.get(f"{MOUNT}/runs/{failed}/log.txt").status_code == 200


def test_questions_say_what_will_happen(site: Site, client: Client, failed: str) -> None:
    """Before a run is retried, discarded or cancelled."""
    shown = text_of(client.page(f"/runs/{failed}"))
    assert "It starts over in the queue default with the same arguments" in shown
    assert "It will not be retried, and is no longer a dead letter." in shown
    waiting = site.scheduler.enqueue("load", delay=60)
    assert "It has not started yet, and will not start." in text_of(client.page(f"/runs/{waiting}"))


def test_owners_see_their_runs_alone(site: Site) -> None:
    """Another owner's run, its log and its form do not exist; a parent is named without a link."""
    declare(site.scheduler)
    run_id = site.scheduler.enqueue("load", args={}, owner="bolt")
    site.forward(1)
    own, other = site.client("admin", "bolt"), site.client("admin", "acme")
    for path in ("", "/log", "/log.txt", "/retry"):
        assert own.get(f"{MOUNT}/runs/{run_id}{path}").status_code == 200, path
        assert other.get(f"{MOUNT}/runs/{run_id}{path}").status_code == 404, path
    assert ", pid " not in own.page(f"/runs/{run_id}")


def test_a_later_attempt_tells_how_late_the_first_one_was(site: Site, client: Client) -> None:
    """The time at which the last one is due is not that of the run."""

    @site.scheduler.job(every(minutes=10), retry=Retry(attempts=3, wait=60, jitter=0))
    def unsteady(run: Run) -> None:
        if run.attempt < 3:
            raise ConnectionError

    site.forward(603)
    for _ in range(4):
        site.forward(61)
    run = site.scheduler.runs(job="unsteady")[-1]
    assert (run.state, run.attempt) == ("succeeded", 3)
    shown = text_of(client.page(f"/runs/{run.id}"))
    assert "attempt 3; the first started 3.0 s after it was due" in shown
    declare(site.scheduler)
    called = site.scheduler.enqueue("flaky")
    for _ in range(4):
        site.forward(61)
    shown = text_of(client.page(f"/runs/{called}"))
    assert "attempt 3 Succeeded" in shown


def test_a_long_error_message_is_folded(site: Site, client: Client) -> None:
    """Its first eight lines are shown without a click."""

    @site.scheduler.task(retry=Retry(attempts=1))
    def check(lines: int) -> None:
        raise ValueError("\n".join(f"fault {number}" for number in range(1, lines + 1)))

    long, short = site.scheduler.enqueue(check, 24), site.scheduler.enqueue(check, 8)
    for _ in range(2):
        site.forward(1)
    page = client.page(f"/runs/{long}").partition('id="error"')[2]
    shown, fold, hidden = page.partition("<summary>16 more lines</summary>")
    assert fold
    assert "fault 8" in shown
    assert "fault 9\n" in hidden.partition("</details>")[0]
    assert "fault 9" not in shown
    assert "more line" not in client.page(f"/runs/{short}")
