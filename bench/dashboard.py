"""The dashboard beside a long history: 100,000 jobs, 5,000,000 runs.

For each page it measures the server's time for the page and for the update of an open page
(p50 and p95 of ``--n`` requests, in process, without a network), and reports every statement whose
plan reads a whole table of jobs or runs. Then it measures the processor time of a process that
fifty open dashboards ask for updates every two seconds, while each is streamed to.

    python -m bench.dashboard [URL] [--n 60] [--jobs 100000] [--runs 5000000] [--seconds 20]

Without a URL, a SQLite database is filled in ``var/bench``, which takes some minutes and 4 GB; a
database that is given is filled if it is empty, and stays.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import httpx
import psutil
import uvicorn
from sqlalchemy import event
from starlette.applications import Starlette
from starlette.routing import Mount

from bench.support.environments import HOME
from bench.support.figures import at_share, cpu_seconds
from bench.support.history import Size, fill, is_filled
from duly import Scheduler
from duly.web import Principal, web_app
from duly.web.dashboard.pages import ROUTES
from duly.web.page_updates import HEADER, PageUpdates

WARM = 5
OPEN, EVERY_S = 50, 2.0
TABLES = ("duly_run", "duly_job", "duly_event", "duly_attempt", "duly_run_log")
"""The tables that no page may read as a whole."""


class Figure(NamedTuple):
    """What a page costs, in milliseconds of the server.

    Attributes:
        path: its path.
        page: p50 and p95 of the page.
        update: p50 and p95 of an update.
        cpu: the processor time of this process for a page, in the mean.
        statements: the number of statements of a page.
    """

    path: str
    page: tuple[float, float]
    update: tuple[float, float]
    cpu: float
    statements: int

    def row(self) -> str:
        """Return a row of a table in Markdown."""
        figures = (*self.page, *self.update, self.cpu)
        numbers = " | ".join(f"{value:.1f}" for value in figures)
        return f"| `{self.path}` | {numbers} | {self.statements} |"


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", nargs="?", default=f"sqlite:///{HOME / 'dashboard.db'}")
    parser.add_argument("--n", type=int, default=60, help="requests of each kind")
    parser.add_argument("--jobs", type=int, default=Size().jobs)
    parser.add_argument("--runs", type=int, default=Size().runs)
    parser.add_argument("--seconds", type=float, default=20, help="of the open dashboards")
    parser.add_argument("--only", default="", help="paths that contain this")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        uvicorn.run(_app(options.url), port=options.serve, log_level="warning")
        return
    HOME.mkdir(parents=True, exist_ok=True)
    if not is_filled(options.url):
        fill(options.url, Size(options.jobs, options.runs))
    figures, scans = asyncio.run(_measure(options.url, options.n, options.only))
    print("| page | p50 | p95 | update p50 | update p95 | CPU | statements |")
    print("|---|---|---|---|---|---|---|")
    print(*(figure.row() for figure in figures), sep="\n")
    print(f"\nwhole tables read: {len(scans)}", *scans, sep="\n* ")
    if options.seconds > 0:
        with _server(options.url) as (process, base):
            share, latency = asyncio.run(_open_dashboards(process, base, options.seconds))
        print(f"\n{OPEN} open dashboards: {share:.1%} of a core, update p95 {latency:.0f} ms")


def _app(url: str) -> Starlette:
    scheduler = Scheduler(url, name="shop", timezone="Europe/Madrid")
    scheduler.task(name="task-0")(lambda: None)
    web = web_app(scheduler, access=lambda _request: Principal("ana", "admin"))
    return Starlette(routes=[Mount("/duly", web)])


def _paths(scheduler: Scheduler) -> list[str]:
    """Return a path for each page, and those of pages that filter."""
    job = max(scheduler.jobs(limit=50), key=lambda each: each.id).id
    [failed] = scheduler.runs(state="failed", limit=1)
    found = [
        route.path.format(job_id="job-000007", run_id=failed.id, name="holidays")
        for route in ROUTES
        if route.method == "GET"
    ]
    filters = (
        f"/jobs/{job}", "/jobs?text=0777", "/jobs?state=paused", "/jobs?tag=team-3",
        "/jobs?after=job-050000", "/runs?state=failed", "/runs?state=running",
        "/runs?job=job-000007", "/runs?text=task-7", "/runs?task=task-5",
        f"/runs?after={failed.id}",
    )  # fmt: skip
    return [*found, *filters]


async def _measure(url: str, count: int, only: str) -> tuple[list[Figure], list[str]]:
    app = _app(url)
    web = app.routes[0].app  # type: ignore[attr-defined]
    scheduler: Scheduler = web.state.scheduler
    paths = [path for path in await asyncio.to_thread(_paths, scheduler) if only in path]
    statements = _listen(scheduler)
    figures, plans = [], dict[str, str]()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost/duly"
    ) as client:
        for path in paths:
            await client.get(path)
            statements.clear()
            response = await client.get(path)
            if response.status_code != 200:
                print(f"{path} responds {response.status_code}", file=sys.stderr)
                continue
            number = len(statements)
            plans.update(_scans(scheduler, path, list(statements)))
            before = cpu_seconds()
            page = await _time(client, web, path, {}, count)
            cpu = (cpu_seconds() - before) * 1000 / (count + WARM)
            update = await _time(client, web, path, {HEADER: "1"}, count)
            figures.append(Figure(path, page, update, cpu, number))
            print(figures[-1].row(), file=sys.stderr, flush=True)
    return figures, list(plans.values())


async def _time(
    client: httpx.AsyncClient, web: Any, path: str, headers: dict[str, str], count: int
) -> tuple[float, float]:
    """Return p50 and p95 of a request, in milliseconds; no update is shared."""
    taken = []
    for number in range(-WARM, count):
        web.state.page_updates = PageUpdates(web.state.scheduler.clock)
        began = time.perf_counter()
        await client.get(path, headers=headers)
        if number >= 0:
            taken.append((time.perf_counter() - began) * 1000)
    return at_share(taken, 0.5), at_share(taken, 0.95)


def _listen(scheduler: Scheduler) -> list[tuple[str, Any]]:
    """Return a list to which all statements are appended, with their parameters."""
    statements: list[tuple[str, Any]] = []

    @event.listens_for(scheduler.store.engine, "before_cursor_execute")
    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        statements.append((statement, parameters))

    return statements


def _scans(scheduler: Scheduler, path: str, statements: list[tuple[str, Any]]) -> dict[str, str]:
    """Return the steps of plans that read a whole table, by statement."""
    found = {}
    sqlite = scheduler.store.engine.dialect.name == "sqlite"
    with scheduler.store.engine.connect() as conn:
        for statement, parameters in statements:
            if not statement.lstrip().lower().startswith(("select", "with")):
                continue
            prefix = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "
            for row in conn.exec_driver_sql(prefix + statement, parameters):
                step = str(row[-1])
                if _reads_all(step):
                    found[statement] = f"{path}: {step.strip()}: {_short(statement)}"
    return found


def _reads_all(step: str) -> bool:
    """Return whether a step of a plan reads all rows of a table, or of a complete index."""
    scan = re.search(r"(?:SCAN|Seq Scan on) (\w+)(.*)", step)
    return scan is not None and scan[1] in TABLES


def _short(statement: str) -> str:
    return re.sub(r"\s+", " ", statement)[:300]


@contextmanager
def _server(url: str) -> Iterator[tuple[psutil.Process, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bench.dashboard", url, "--serve", str(port)]
    process = subprocess.Popen(command)
    base = f"http://127.0.0.1:{port}/duly"
    try:
        for _ in range(200):
            with suppress(httpx.HTTPError):
                httpx.get(f"{base}/")
                break
            time.sleep(0.1)
        yield psutil.Process(process.pid), base
    finally:
        process.kill()
        process.wait()


async def _open_dashboards(
    process: psutil.Process, base: str, seconds: float
) -> tuple[float, float]:
    """Return the share of a core that the server uses, and p95 of its answers."""
    taken: list[float] = []
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=30) as client:
        watching = [
            asyncio.create_task(_watch(client, base, number, taken)) for number in range(OPEN)
        ]
        streams = [asyncio.create_task(_follow(client, base)) for _ in range(OPEN)]
        await asyncio.sleep(3)
        taken.clear()
        before, began = _used(process), time.monotonic()
        await asyncio.sleep(seconds)
        share = (_used(process) - before) / (time.monotonic() - began)
        for task in (*watching, *streams):
            task.cancel()
        await asyncio.gather(*watching, *streams, return_exceptions=True)
    return share, at_share(taken, 0.95)


async def _watch(client: httpx.AsyncClient, base: str, number: int, taken: list[float]) -> None:
    """Ask for updates as an open page does."""
    await asyncio.sleep(number * EVERY_S / OPEN)
    headers = {HEADER: "1"}
    while True:
        began = time.perf_counter()
        response = await client.get(f"{base}/", headers=headers)
        taken.append((time.perf_counter() - began) * 1000)
        if "etag" in response.headers:
            headers["if-none-match"] = response.headers["etag"]
        await asyncio.sleep(EVERY_S)


async def _follow(client: httpx.AsyncClient, base: str) -> None:
    """Read the stream of events as an open page does."""
    async with client.stream("GET", f"{base}/api/v1/stream") as response:
        async for _line in response.aiter_lines():
            pass


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
