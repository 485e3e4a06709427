"""Runs that execute in real Celery workers, through real brokers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module, reload
from pathlib import Path
from typing import Any

import pytest

from duly import Scheduler, every
from duly.errors import ConfigurationError
from duly.integrations.celery import celery_task
from duly.model.run import RunRecord
from tests.chaos.proxy import Proxy
from tests.support.brokers import Broker, why_not
from tests.support.processes import Child, Children
from tests.support.waiting import wait_until

SHOP = "tests.integrations.hosts.celery_shop"


class Shop:
    """The application of `celery_shop` in this process, and the Celery workers beside it."""

    def __init__(
        self,
        url: str,
        broker: Broker,
        folder: Path,
        children: Children,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.env = {**broker.env, "DULY_URL": url, "DULY_FOLDER": str(folder)}
        self._monkeypatch = monkeypatch
        self.broker = broker
        self.folder = folder
        self._children = children
        self._scheduler: Scheduler | None = None

    @property
    def scheduler(self) -> Scheduler:
        """The application's scheduler, loaded when it is first used."""
        if self._scheduler is None:
            for name, value in self.env.items():
                self._monkeypatch.setenv(name, value)
            module: Any = reload(import_module(SHOP))
            self._scheduler = module.scheduler
        return self._scheduler

    @property
    def app(self) -> Any:
        """The Celery application, loaded together with the scheduler."""
        _ = self.scheduler
        return import_module(SHOP).celery_app

    def worker(self, pool: str = "prefork", concurrency: int = 2) -> Child:
        """Start a Celery worker and wait until it is ready."""
        child = self._children.python(
            "-m", "celery", "--app", SHOP, "worker", "--queues", self.broker.queue,
            "--pool", pool, "--concurrency", str(concurrency), "--loglevel", "INFO",
            "--without-gossip", "--without-mingle", "--without-heartbeat",
            env=self.env,
        )  # fmt: skip
        child.wait_for("ready")
        return child

    def program(self, *arguments: str) -> Child:
        """Start the application as a process of its own."""
        return self._children.python("-m", SHOP, *arguments, env=self.env)

    def ended(self, run_id: str, timeout: float = 60) -> RunRecord:
        """Wait until a run has ended, and return it."""

        def look() -> RunRecord | None:
            record = self.scheduler.run(run_id)
            return record if record.finished_at is not None else None

        found = wait_until(look, timeout=timeout, what="the end of a run")
        assert found is not None
        return found

    def reach(self, run_id: str, state: str) -> None:
        """Wait until a run is in a state."""
        wait_until(lambda: self.scheduler.run(run_id).state == state, timeout=60, what=state)

    def notes(self) -> list[int]:
        """The numbers that ``note`` has been called with."""
        return sorted(int(path.name.split("-")[1]) for path in self.folder.glob("note-*"))

    def close(self) -> None:
        """Stop the scheduler."""
        if self._scheduler is not None:
            self._scheduler.stop(grace=0)
            self.app.close()


def open_shop(
    kind: str, url: str, folder: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    """Open a shop on a broker, or skip the test."""
    reason = why_not(kind)
    if reason is not None:
        pytest.skip(reason)
    broker = Broker(kind)
    for name, value in {**broker.env, "DULY_URL": url, "DULY_FOLDER": str(folder)}.items():
        monkeypatch.setenv(name, value)  # import_module needs them
    shop = Shop(url, broker, folder, children, monkeypatch)
    try:
        yield shop
    finally:
        shop.close()
        children.__exit__(None, None, None)
        broker.close()


@pytest.fixture
def on_redis(
    prepared_postgresql_url: str,
    tmp_path: Path,
    children: Children,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shop]:
    """A shop on Redis and PostgreSQL."""
    yield from open_shop("redis", prepared_postgresql_url, tmp_path, children, monkeypatch)


@pytest.fixture
def on_rabbitmq(
    prepared_sqlite_url: str, tmp_path: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    """A shop on RabbitMQ and SQLite."""
    yield from open_shop("rabbitmq", prepared_sqlite_url, tmp_path, children, monkeypatch)


def test_a_prefork_worker_executes_runs_as_a_local_worker_does(on_redis: Shop) -> None:
    """Result, log, progress, retries, coroutines, timeouts and cancellation, on Redis."""
    shop, scheduler = on_redis, on_redis.scheduler
    worker = shop.worker(concurrency=3)
    with scheduler.running():
        stuck = scheduler.enqueue("stubborn")
        check_outcomes(shop)
        late = shop.ended(scheduler.enqueue("slow"))
        assert (late.state, late.error_type) == ("failed", "TimedOut")
        assert late.duration is not None
        check_cancellation(shop)
        assert shop.ended(stuck).error_type == "TimedOut"
        worker.wait_for("exited with 'signal 9")  # nothing else ends such a function
        assert worker.terminate() == 0
        assert [each.pid for each in scheduler.workers()] == [os.getpid()]
        assert scheduler.events(kind="worker.lost") == []


def test_a_threads_worker_executes_runs_as_a_local_worker_does(on_rabbitmq: Shop) -> None:
    """Result, log, progress, retries, coroutines and cancellation, on RabbitMQ."""
    shop, scheduler = on_rabbitmq, on_rabbitmq.scheduler
    worker = shop.worker("threads")
    with scheduler.running():
        check_outcomes(shop)
        check_cancellation(shop)
        assert worker.terminate() == 0
        assert [each.pid for each in scheduler.workers()] == [os.getpid()]


def check_outcomes(shop: Shop) -> None:
    """What runs leave behind."""
    scheduler = shop.scheduler
    ids = [scheduler.enqueue("render", video=7), scheduler.enqueue("fetch", number=5)]
    failing = scheduler.enqueue("fail")
    rendered, fetched = (shop.ended(run_id) for run_id in ids)
    assert rendered.result["video"] == 7
    assert rendered.result["pid"] != os.getpid()
    assert rendered.progress is not None
    assert rendered.progress.note == "half"
    assert [line.message for line in scheduler.run_log(ids[0])] == ["rendering 7"]
    assert fetched.result == 5
    failed = shop.ended(failing)
    assert (failed.state, failed.attempt) == ("failed", 2)
    assert [each.error_message for each in scheduler.attempts(failing)] == ["no", "no"]


def check_cancellation(shop: Shop) -> None:
    """A running function learns that its run is cancelled."""
    run_id = shop.scheduler.enqueue("wait")
    shop.reach(run_id, "running")
    shop.scheduler.cancel(run_id)
    assert shop.ended(run_id).state == "cancelled"


def test_a_killed_celery_workers_runs_are_rescued(on_redis: Shop) -> None:
    """kill -9 of the worker: the lease tells, and another worker executes a further attempt."""
    shop, scheduler = on_redis, on_redis.scheduler
    victim = shop.worker(concurrency=1)
    with scheduler.running():
        run_id = scheduler.enqueue("wait")
        shop.reach(run_id, "running")
        victim.kill()
        shop.worker(concurrency=1)
        record = shop.ended(run_id)
        assert (record.state, record.attempt, record.crashes) == ("succeeded", 2, 1)
        assert [each.error_type for each in scheduler.attempts(run_id)] == ["WorkerLost"]


def test_a_killed_duly_process_loses_nothing_that_it_handed_over(on_rabbitmq: Shop) -> None:
    """kill -9 of the only Duly process: what is in the broker executes without one, and once."""
    shop = on_rabbitmq
    program = shop.program("20")
    program.wait_for("enqueued")
    wait_until(lambda: shop.broker.depth() == 20, timeout=30, what="20 messages")
    program.kill()
    shop.worker()
    wait_until(lambda: shop.notes() == list(range(20)), timeout=60, what="20 notes")
    wait_until(lambda: len(shop.scheduler.runs(state="succeeded")) == 20, timeout=30)
    assert {run.crashes for run in shop.scheduler.runs()} == {0}


def test_runs_wait_while_the_broker_is_away(
    on_redis: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are ready, the health says why they do not start, and then they start."""
    shop = on_redis
    proxy = Proxy(shop.broker.address)
    try:
        route = proxy.route()
        shop.worker(concurrency=1)
        shop.env["BROKER"] = shop.broker.through(route.port)
        scheduler = shop.scheduler
        proxy.do(route.refuse, True)
        with scheduler.running():
            run_id = scheduler.enqueue("render", video=1)
            found = wait_until(lambda: scheduler.health().problems, timeout=30)
            assert "'celery' cannot be reached" in found[0].text
            assert scheduler.run(run_id).state == "ready"
            proxy.do(route.refuse, False)
            assert shop.ended(run_id).state == "succeeded"
            assert scheduler.health().problems == []
    finally:
        proxy.close()


def test_an_eager_application_executes_runs_in_this_process(on_rabbitmq: Shop) -> None:
    """``task_always_eager`` in an application's tests needs no broker and no Celery worker."""
    scheduler = on_rabbitmq.scheduler
    on_rabbitmq.app.conf.task_always_eager = True
    with scheduler.running():
        record = on_rabbitmq.ended(scheduler.enqueue("render", video=1))
        assert record.result == {"video": 1, "pid": os.getpid()}


def test_a_celery_task_is_followed_to_its_end(on_redis: Shop) -> None:
    """With a result backend a run has the progress, the result and the error of its task."""
    shop = on_redis
    shop.env["BACKEND"] = shop.broker.url
    scheduler, queue = shop.scheduler, shop.broker.queue
    rebuild = celery_task("shop.rebuild", app=shop.app, queue=queue)
    shop.worker()
    with scheduler.running():
        scheduler.add(rebuild, every(hours=1), id="rebuild", args={"pages": 3})
        run_id = scheduler.run_now("rebuild").id
        wait_until(lambda: scheduler.run(run_id).progress, timeout=30, what="progress")
        (shop.folder / "go on").touch()
        record = shop.ended(run_id)
        assert (record.state, record.result) == ("succeeded", {"pages": 3})
        failing = shop.ended(scheduler.enqueue(rebuild, pages=1, fails=True))
        assert failing.error_message == "ValueError: no pages"
        assert "raise ValueError" in str(scheduler.attempts(failing.id)[0].traceback)


def test_a_celery_task_without_a_result_backend_is_recorded_as_sent(on_rabbitmq: Shop) -> None:
    """Nobody could tell how it ends."""
    shop = on_rabbitmq
    scheduler, app, queue = shop.scheduler, shop.app, shop.broker.queue
    rebuild = celery_task("shop.unknown", app=app, queue=queue)
    assert celery_task("shop.unknown", app=app, queue=queue) is rebuild
    with scheduler.running():
        run_id = scheduler.enqueue(rebuild, pages=1)
        record = shop.ended(run_id)
        assert (record.state, record.result) == ("succeeded", {"sent": f"{run_id}.1"})
        assert record.task == f"celery:shop.unknown@{queue}"
        assert shop.broker.depth() == 1


def test_only_celery_tasks_are_taken_for_some() -> None:
    """A function that is not a Celery task is refused where it is given."""
    with pytest.raises(ConfigurationError, match="is not a Celery task"):
        celery_task(test_only_celery_tasks_are_taken_for_some)
