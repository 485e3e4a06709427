"""Counters that Prometheus scrapes equal the history, whatever was killed meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select

from duly import Scheduler, every
from duly.store.tables import decision_range, run
from tests.observe.worker import declare
from tests.support.processes import Child, Children
from tests.support.waiting import wait_until

WORKER = Path(__file__).with_name("worker.py")
CALLS = 1200
Key = tuple[str, str, str]


@pytest.fixture
def scheduler(prepared_database_url: str) -> Iterator[Scheduler]:
    """A scheduler that enqueues and asks, and executes nothing."""
    made = Scheduler(prepared_database_url, heartbeat="fast")
    declare(made)
    yield made
    made.store.dispose()


class Scraped:
    """One process that Prometheus scrapes.

    Its counters are compared with those of the scrape before: they never fall.
    """

    def __init__(self, children: Children, url: str) -> None:
        self.child: Child = children.python(WORKER, url)
        self._port = int(self.child.wait_for(r"port (\d+)")[1])
        self._before: Counter[Key] = Counter()

    def ended(self) -> Counter[Key]:
        """Return ``duly_runs_total`` by task, queue and outcome."""
        address = f"http://127.0.0.1:{self._port}/metrics?part=database"
        text = httpx2.get(address, trust_env=False, timeout=30).text
        found: Counter[Key] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "duly_runs_total":
                    names = sample.labels
                    key = names["task"], names["queue"], names["outcome"]
                    found[key] = int(sample.value)
        assert all(found[key] >= count for key, count in self._before.items())
        self._before = found
        return found


def history(scheduler: Scheduler) -> Counter[Key]:
    """Return how the stored runs have ended, and the missed times of ranges."""
    found: Counter[Key] = Counter()
    kind = (run.c.task, run.c.queue, run.c.state)
    with scheduler.store.read() as conn:
        for *key, number in conn.execute(select(*kind, func.count()).group_by(*kind)):
            found[tuple(key)] += number
        missed = conn.execute(select(func.sum(decision_range.c["count"]))).scalar()
    found["work", "default", "missed"] += int(missed or 0)
    return +found


def _have_ended(worker: Scraped, number: int) -> bool:
    return worker.ended().total() >= number


@pytest.mark.processes
@pytest.mark.timeout(300)
def test_counters_equal_the_history_after_kills(
    scheduler: Scheduler, prepared_database_url: str, children: Children
) -> None:
    """Two of three workers are killed while runs execute; by task, queue and outcome."""
    workers = [Scraped(children, prepared_database_url) for _ in range(3)]
    scheduler.add("work", every(seconds=1), id="tick")
    for task in ("work", "fail", "once"):
        scheduler.enqueue_many(task, [{"n": n} for n in range(CALLS if task == "work" else 60)])
    last = workers[2]
    for number, victim in enumerate(workers[:2], start=1):
        more = 40 * number
        wait_until(partial(_have_ended, last, more), timeout=60)
        assert scheduler.counts().unfinished["running"] > 0
        victim.child.kill()
    returned = Scraped(children, prepared_database_url)
    scheduler.pause("tick", reason="the end")

    def all_have_ended() -> bool:
        return not any(scheduler.counts().unfinished.values())

    wait_until(all_have_ended, timeout=120)
    expected = history(scheduler)
    assert last.ended() == returned.ended() == expected
    assert expected["fail", "mail", "failed"] == 60
    assert expected["work", "default", "succeeded"] > CALLS
    assert {task for task, _queue, _outcome in expected} == {"work", "fail", "once"}
