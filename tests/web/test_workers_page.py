"""The page of workers and queues: who executes what, what waits and why, and its forms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from duly import Run, Scheduler, every
from duly.operations.status import QueueStatus
from duly.web.dashboard.queue_views import why_waiting
from tests.web.site import MOUNT, Client, Site
from tests.web.test_pages import text_of


@pytest.fixture
def second(site: Site) -> Iterator[Scheduler]:
    """A second worker of another version, which serves the queue ``mail``."""
    url = site.scheduler.store.url.render_as_string(hide_password=False)
    other = Scheduler(url, clock=site.clock, version="1.4.2", queues={"mail": 3})
    other.tick()
    yield other
    other.stop(grace=0)


def worker_of(site: Site) -> str:
    worker = site.scheduler.worker_id
    assert worker is not None
    return worker


def test_it_shows_each_worker_with_its_versions_and_slots(
    site: Site, client: Client, second: Scheduler
) -> None:
    """Heartbeat, version of the application, of Duly and of the zones, and the slots by queue."""
    site.clock.advance(4)
    shown = text_of(client.page("/workers"))
    assert shown.count("alive 4 s ago") == 2
    assert "1.4.2, Duly " in shown
    assert "mail 0 of 3 nothing" in shown
    assert "shows this page" in shown
    assert "Workers alive 2 Draining 0 Silent 0" in shown


def test_a_worker_without_heartbeat_is_silent(site: Site, client: Client) -> None:
    """After its lease has expired; it cannot be drained any more."""
    site.clock.advance(3600)
    page = client.page("/workers")
    assert "silent 1 h ago" in text_of(page)
    assert "Drain the worker" not in page


def test_the_header_tells_how_many_workers_start_runs(
    site: Site, client: Client, second: Scheduler
) -> None:
    """All of them, or how many of all if some drain or are silent; in updates, too."""
    header = {"X-Duly-Update": "1"}

    def pulse() -> str:
        pages = client.page("/"), client.get(f"{MOUNT}/jobs", headers=header).text
        full, update = (page.partition('id="pulse"')[2].partition("</p>")[0] for page in pages)
        assert full == update
        return full

    assert "is-succeeded" in pulse()
    assert "</svg>2 workers</span>" in pulse()
    client.submit(f"/workers/{second.worker_id}/drain")
    site.clock.advance(2)
    assert "is-late" in pulse()
    assert "</svg>1 of 2 workers</span>" in pulse()
    assert "draining" in text_of(client.page("/"))


def test_a_silent_worker_is_called_so_on_the_overview(
    site: Site, client: Client, second: Scheduler
) -> None:
    """By the same word as on the page of workers."""
    site.clock.advance(50)
    site.scheduler.tick()
    site.clock.advance(50)
    page = client.page("/")
    assert "</svg>1 of 2 workers</span>" in page
    assert "silent 1 min ago" in text_of(page)


def test_running_runs_are_listed_by_worker(site: Site, client: Client) -> None:
    """With a link, the duration and the progress, while the function executes."""
    seen: list[str] = []

    @site.scheduler.task(queue="default")
    def look(run: Run) -> None:
        run.progress(2, 8, "half")
        seen.append(site.client().page("/workers"))

    run = site.scheduler.enqueue(look)
    site.scheduler.tick()
    (page,) = seen
    shown = text_of(page)
    assert f'href="{MOUNT}/runs/{run}"' in page
    assert "default 1 of 10" in shown
    assert "look 0 ms" in shown
    assert "Running now 1 of 10 slots" in shown


def test_it_says_what_waits_and_why(site: Site, client: Client) -> None:
    """A queue that is paused, and one that no worker serves."""
    site.scheduler.pause_queue("default", reason="stocktaking", actor="ben")
    site.scheduler.enqueue("greet")
    site.scheduler.enqueue("greet", queue="nowhere")
    site.forward(15)
    shown = text_of(client.page("/workers"))
    assert "default paused by ben: stocktaking 2, the oldest for 15 s The queue is paused." in shown
    assert "nowhere 1, the oldest for 15 s No living worker serves this queue." in shown
    assert "queues 1 run waits in the queue &#39;nowhere&#39;" in shown


@pytest.mark.parametrize(
    ("queue", "numbers", "age", "why"),
    [
        (QueueStatus("a", paused=True), (0, 5, 1), 90, "The queue is paused."),
        (QueueStatus("a"), (0, 0, 0), 90, "No living worker serves this queue."),
        (
            QueueStatus("a", max_running=1),
            (1, 5, 1),
            90,
            "Its limit is reached: at most 1 run at once.",
        ),
        (QueueStatus("a", max_running=9), (5, 5, 1), 90, "All 5 slots of its workers are in use."),
        (QueueStatus("a", rate=2, per=60.0), (0, 5, 1), 90, "Its rate allows 2 starts in 1 min."),
        (
            QueueStatus("a"),
            (0, 5, 1),
            60,
            "A worker is about to start them, unless their concurrency keys are in use.",
        ),
        (
            QueueStatus("a"),
            (2, 5, 1),
            61,
            "3 of 5 slots are free: perhaps no worker of this queue knows the task of the oldest "
            "run, or its concurrency key is in use.",
        ),
    ],
)
def test_the_gravest_cause_of_a_wait_is_named(
    queue: QueueStatus, numbers: tuple[int, int, int], age: float, why: str
) -> None:
    """What would keep the runs waiting even if the others were solved comes first."""
    assert why_waiting(queue, *numbers, age=age, stopped=False) == why
    assert why_waiting(queue, *numbers, age=age, stopped=True) == "The scheduler is switched off."


def test_draining_a_worker(site: Site, client: Client) -> None:
    """An operator drains one worker, with a reason that the audit trail keeps."""
    worker = worker_of(site)
    answer = client.submit(f"/workers/{worker}/drain", reason="new kernel")
    assert answer.headers["location"] == f"{MOUNT}/workers?done=draining"
    (event,) = site.scheduler.events(kind="worker.draining")
    assert (event.worker_id, event.actor, event.reason) == (worker, "ana", "new kernel")
    shown = text_of(client.page("/workers"))
    assert "draining now" in shown
    assert "Workers alive 0 Draining 1" in shown


def test_limits_of_a_queue(site: Site, client: Client) -> None:
    """Both limits are set at once; an empty field removes one."""
    answer = client.submit("/queues/mail/limits", max_running="3", rate="100", per="60", reason="a")
    assert answer.headers["location"] == f"{MOUNT}/workers?done=queue-limited"
    assert "at most 3 runs at once, 100 starts in 1 min" in text_of(client.page("/workers"))
    assert site.scheduler.events(kind="queue.changed")[-1].reason == "a"
    client.submit("/queues/mail/limits", max_running="", rate="", per="")
    assert "at most" not in text_of(client.page("/workers"))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"max_running": "three"}, "valid integer"),
        ({"max_running": "0"}, "greater than or equal to 1"),
        ({"rate": "5", "per": "soon"}, "valid number"),
        ({"max_running": "99999999"}, "1000000"),
    ],
)
def test_a_limit_that_is_not_valid_comes_back(
    site: Site, client: Client, typed: dict[str, str], said: str
) -> None:
    """With what is wrong, and with what was typed; nothing has changed."""
    answer = client.submit("/queues/mail/limits", **typed, reason="because of <b>it</b>")
    assert answer.status_code == 422
    assert said in answer.text
    for text in typed.values():
        assert f'value="{text}"' in answer.text
    assert 'value="because of &lt;b&gt;it&lt;/b&gt;"' in answer.text
    assert "data-refresh" not in answer.text, "an update would show another page in its place"
    assert not site.scheduler.events(kind="queue.changed")


def test_limits_of_concurrency_keys(site: Site, client: Client) -> None:
    """Set, shown with the number of running runs, changed and removed."""
    client.submit("/limits", key="shop/<acme>", max_running="2")
    assert "shop/&lt;acme&gt; 0 of 2" in text_of(client.page("/workers"))
    client.submit("/limits", key="shop/<acme>", max_running="0")
    assert "shop/&lt;acme&gt; 0 of 0 its other runs wait" in text_of(client.page("/workers"))
    answer = client.submit("/limits/shop%2F%3Cacme%3E/remove", reason="gone")
    assert answer.headers["location"] == f"{MOUNT}/workers?done=limit-removed"
    assert "No key has a limit of its own" in text_of(client.page("/workers"))
    assert client.submit("/limits/shop/remove").status_code == 404
    refused = client.submit("/limits", key="x", max_running="-1")
    assert refused.status_code == 422
    assert 'value="x"' in refused.text


def test_roles_see_what_they_may_do(site: Site) -> None:
    """A viewer reads; an operator drains and pauses; only an admin sets limits."""
    site.scheduler.set_limit("shop", 2)
    worker = worker_of(site)
    viewer, operator = site.client("viewer"), site.client("operator")
    page = viewer.page("/workers")
    assert 'method="post"' not in page
    page = operator.page("/workers")
    assert "/drain" in page
    assert "/pause" in page
    assert "/limits" not in page
    assert viewer.submit(f"/workers/{worker}/drain").status_code == 403
    for path in ("/queues/mail/limits", "/limits", "/limits/shop/remove"):
        assert operator.submit(path).status_code == 403
    assert site.client("admin", "acme").get(f"{MOUNT}/workers").status_code == 403
    assert "/workers" not in site.client("admin", "acme").page("/jobs")


def test_the_jobs_of_each_process_are_listed(site: Site, client: Client) -> None:
    """By worker, with the last outcome; errors are redacted."""

    @site.scheduler.job(every(seconds=30), scope="process", id="refresh_rates")
    def refresh() -> None:
        raise LookupError("no rates; password=hunter2")

    site.forward(1)
    site.forward(30)
    page = client.page("/workers")
    assert "refresh_rates every 30 seconds" in text_of(page)
    assert "LookupError: no rates; password=[hidden]" in text_of(page)
    assert "hunter2" not in page
