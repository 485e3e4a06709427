"""What executing runs in Celery costs: plain Celery, Duly's threads, and Duly through Celery.

One Celery worker with two prefork processes, or one Duly process with ten threads; PostgreSQL.
First calls are sent one after the other with a pause, then many as fast as possible.

    python -m bench.through_celery [--n 1000] [--calls 200]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module, reload
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.support.brokers import Broker, why_not
from tests.support.postgresql import Databases, shared_server
from tests.support.processes import Children
from tests.support.session import close_session, open_session
from tests.support.waiting import wait_until

APP = "bench.support.celery_app"
PAUSE = 0.05
WAYS = {
    "plain Celery, Redis": ("redis", "plain"),
    "plain Celery, RabbitMQ": ("rabbitmq", "plain"),
    "Duly, local threads": ("redis", "local"),
    "Duly through Celery, Redis": ("redis", "remote"),
    "Duly through Celery, RabbitMQ": ("rabbitmq", "remote"),
}


def main() -> None:
    """Print one line for each way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--n", type=int, default=1_000, help="calls sent as fast as possible")
    parser.add_argument("--calls", type=int, default=200, help="calls sent with a pause")
    options = parser.parse_args()
    open_session()
    try:
        databases = Databases(shared_server(), f"bench_celery_{os.getpid()}")
        _print("way", "p50 ms", "p99 ms", "calls/s")
        for way, (kind, task) in WAYS.items():
            reason = why_not(kind)
            if reason is not None:
                _print(way, reason)
                continue
            name = databases.create()
            try:
                _print(way, *_measured(databases.server.url(name), kind, task, options))
            finally:
                databases.drop(name)
        databases.close()
    finally:
        close_session()


def _measured(url: str, kind: str, task: str, options: argparse.Namespace) -> tuple[str, str, str]:
    broker = Broker(kind)
    with tempfile.TemporaryDirectory() as folder, Children(Path(folder)) as children:
        notes = Path(folder) / "notes"
        env = {**broker.env, "DULY_URL": url, "BENCH_NOTES": str(notes)}
        os.environ.update(env)
        app: Any = reload(import_module(APP))
        app.scheduler.prepare()
        if task != "plain":
            children.python("-m", APP, env=env).wait_for("started")
        if task != "local":
            children.python(
                "-m", "celery", "--app", APP, "worker", "--queues", broker.queue,
                "--concurrency", "2", "--loglevel", "INFO",
                "--without-gossip", "--without-mingle", "--without-heartbeat", env=env,
            ).wait_for("ready")  # fmt: skip
        send = _sender(app, task, broker.queue)
        try:
            _send(send, 10, notes, PAUSE)  # every process has connected and registered then
            waits = _send(send, options.calls, notes, PAUSE)
            began = time.time()
            _send(send, options.n, notes, 0)
            seconds = max(start for _sent, start in _read(notes)) - began
        finally:
            app.scheduler.store.dispose()
            broker.close()
    cuts = quantiles(waits, n=100)
    return f"{cuts[49] * 1000:.1f}", f"{cuts[98] * 1000:.1f}", f"{options.n / seconds:.0f}"


def _sender(app: Any, task: str, queue: str) -> Callable[[], object]:
    if task == "plain":
        return lambda: app.plain.apply_async((time.time(),), queue=queue)
    return lambda: app.scheduler.enqueue(task, sent=time.time())


def _send(send: Callable[[], object], number: int, notes: Path, pause: float) -> list[float]:
    """Send calls, wait until all have started, and return how long each has waited."""
    before = len(_read(notes))
    for _ in range(number):
        send()
        time.sleep(pause)
    wait_until(lambda: len(_read(notes)) >= before + number, timeout=300)
    return [start - sent for sent, start in _read(notes)[before:]]


def _read(notes: Path) -> list[tuple[float, float]]:
    if not notes.exists():
        return []
    pairs = (line.split() for line in notes.read_text().splitlines())
    return [(float(sent), float(start)) for sent, start in pairs]


def _print(*cells: str) -> None:
    sys.stdout.write(f"{cells[0]:32}" + "".join(f"{cell:>10}" for cell in cells[1:]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
