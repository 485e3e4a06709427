"""The stream of events: nothing is lost, nothing is repeated, and it ends with its server."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from a2wsgi import ASGIMiddleware
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from duly import Scheduler, every
from duly.errors import ConfigurationError
from duly.model.event_position import FORGET_AFTER, MAX_MISSING, EventPosition
from duly.store import tables
from duly.web import Principal, web_app
from tests.operations.conftest import Make, clock, make
from tests.support.databases import ON_SQLITE
from tests.support.processes import Children

__all__ = ["clock", "make"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)


# ------------------------------------------------------------------------------ positions


def test_a_position_accepts_each_event_once_in_whatever_order() -> None:
    """Ids that are skipped are looked for, and found once."""
    position = EventPosition(10, (), NOW)
    assert [position.accept(number, NOW) for number in (11, 14, 14, 12, 12, 11)] == [
        True, True, False, True, False, False,
    ]  # fmt: skip
    assert (position.last, position.missing, str(position)) == (14, [13], "14~13")
    again = EventPosition.read(str(position), NOW)
    assert [again.accept(number, NOW) for number in (14, 13, 15)] == [False, True, True]


def test_a_position_forgets_ids_that_never_appear() -> None:
    """Those of transactions that were rolled back, after a while, and the oldest of too many."""
    position = EventPosition(10, (), NOW)
    position.accept(13, NOW)
    position.accept(15, NOW + FORGET_AFTER)
    assert position.missing == [14]
    position.accept(1_000, NOW)
    assert position.missing == list(range(1_000 - MAX_MISSING, 1_000))
    assert EventPosition.read(str(position), NOW).missing == position.missing


@pytest.mark.parametrize("text", ["", "x", "-1", "1~", "1~2", "5~1..2", "9" * 30, "\uff11"])
def test_text_that_is_no_position_is_refused(text: str) -> None:
    """It comes from a header."""
    with pytest.raises(ConfigurationError):
        EventPosition.read(text, NOW)


def test_events_that_commit_late_are_found(make: Make) -> None:
    """An id is assigned before another one, and appears after it."""
    scheduler = make()
    scheduler.prepare()
    position = scheduler.event_position()
    add_event(scheduler, 103)
    assert numbers(scheduler, position) == [103]
    add_event(scheduler, 101)
    add_event(scheduler, 105)
    assert numbers(scheduler, position) == [101, 105]
    assert numbers(scheduler, position) == []
    fresh = scheduler.event_position()
    add_event(scheduler, 102)
    assert numbers(scheduler, fresh) == [102]


def add_event(scheduler: Scheduler, number: int) -> None:
    with scheduler.store.write() as tx:
        row = {"id": number, "at": tx.now, "kind": "queue.changed", "detail": None}
        tx.conn.execute(tables.event.insert(), row)


def numbers(scheduler: Scheduler, position: EventPosition) -> list[int | None]:
    return [owned.event.id for owned in scheduler.events_beyond(position)]


# -------------------------------------------------------------------------------- filters


def test_the_audit_trail_is_filtered_by_run_actor_and_time(make: Make, clock: Any) -> None:
    """Each alone, and together."""
    scheduler = make()
    scheduler.task()(lambda_free)
    scheduler.prepare()
    first, second = (scheduler.enqueue("lambda_free", delay=60) for _ in range(2))
    scheduler.cancel(first, actor="ana")
    clock.advance(10)
    scheduler.cancel(second, actor="ben")
    later = clock.now() - timedelta(seconds=5)

    def runs(**filters: Any) -> list[str | None]:
        return [event.run_id for event in scheduler.events(kind="run.cancelled", **filters)]

    assert runs(run=second) == runs(actor="ben") == runs(since=later) == [second]
    assert runs(until=later) == [first]
    assert runs(actor="ben", until=later) == []


def lambda_free() -> None:
    """A task."""


# -------------------------------------------------------------------------------- streams

APP = """
from starlette.applications import Starlette
from duly import Scheduler
from duly.integrations.starlette import init_app
from duly.web import Principal

scheduler = Scheduler({url!r})

@scheduler.task()
def work():
    pass

app = Starlette()
init_app(app, scheduler, web="/duly", access=lambda request: Principal("ana", "operator"))
"""


@pytest.fixture
def served(tmp_path: Path, children: Children, prepared_sqlite_url: str) -> Any:
    """Starts servers of one application, each a process of its own."""
    (tmp_path / "streamed.py").write_text(APP.format(url=prepared_sqlite_url))

    def serve() -> Any:
        env = {"PYTHONPATH": str(tmp_path)}
        return children.uvicorn("streamed:app", ready="/duly/api/v1/health", env=env)

    return serve


class Stream:
    """A client of the stream, which reads one message after the other."""

    def __init__(self, address: str, client: httpx2.Client, **options: Any) -> None:
        self._opened = client.stream("GET", f"{address}/duly/api/v1/stream", **options)
        self.last = ""

    def __enter__(self) -> Stream:
        response = self._opened.__enter__()
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        self._lines = response.iter_lines()
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    def next(self) -> tuple[str, dict[str, Any]]:
        """The next message with data."""
        fields: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            fields[name] = value
            if line == "":
                self.last = fields.get("id", self.last)
                if "data" in fields:
                    return fields["event"], json.loads(fields["data"])
                fields = {}
        raise EOFError


@ON_SQLITE
@pytest.mark.timeout(120)
def test_a_stream_continues_in_another_process_and_ends_with_its_server(
    served: Any, make: Make, prepared_sqlite_url: str
) -> None:
    """Each event once: those while connected, those while away, and then SIGTERM ends it."""
    first, second = served(), served()
    scheduler = make(prepared_sqlite_url)
    kinds = {"params": {"kind": ["job.added", "job.paused"]}}
    scheduler.task()(lambda_free)
    with httpx2.Client(timeout=30) as client:
        with Stream(first.url, client, **kinds) as stream:
            scheduler.add("lambda_free", every(hours=1), id="a")
            assert (stream.next()[0], stream.last != "") == ("job.added", True)
        scheduler.pause("a")
        scheduler.resume("a")
        scheduler.add("lambda_free", every(hours=1), id="b")
        resumed = {"headers": {"Last-Event-ID": stream.last}, **kinds}
        with Stream(second.url, client, **resumed) as stream:
            seen = [stream.next() for _ in range(2)]
            assert [(kind, event["job_id"]) for kind, event in seen] == [
                ("job.paused", "a"), ("job.added", "b"),
            ]  # fmt: skip
            scheduler.add("lambda_free", every(hours=1), id="c")
            assert stream.next()[1]["job_id"] == "c"
            os.kill(second.pid, signal.SIGTERM)
            with pytest.raises((EOFError, httpx2.TransportError)):
                stream.next()
    assert second.wait(timeout=20) in (0, -signal.SIGTERM)


@ON_SQLITE
@pytest.mark.timeout(120)
def test_runs_that_come_and_go_are_told_as_a_change(
    served: Any, make: Make, prepared_sqlite_url: str
) -> None:
    """Starts and successes are not in the audit trail. The first message tells the present."""
    server, scheduler = served(), make(prepared_sqlite_url)
    scheduler.task(name="work")(lambda_free)
    with (
        httpx2.Client(timeout=30) as client,
        Stream(server.url, client, params={"kind": "changed"}) as stream,
    ):
        assert stream.next() == ("changed", {"newest_run": None, "runs": {}})
        run_id = scheduler.enqueue("work", delay=3600)
        told = next(message for message in iter(stream.next, None) if message[1]["newest_run"])
    assert (told[0], told[1]["newest_run"]) == ("changed", run_id)


@ON_SQLITE
def test_the_number_of_streams_is_bounded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with ``Retry-After``."""
    from duly.web import event_hub

    monkeypatch.setattr(event_hub, "MAX_STREAMS", 0)
    scheduler = make()
    scheduler.prepare()
    web = web_app(scheduler, access=lambda _request: Principal("ana"))
    answer = TestClient(web).get("/api/v1/stream")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_clients_that_poll_get_what_is_there(make: Make) -> None:
    """``follow=false`` ends the response; later pages continue it."""
    scheduler = make()
    scheduler.task()(lambda_free)
    scheduler.prepare()
    scheduler.add("lambda_free", every(hours=1), id="a")
    client = TestClient(web_app(scheduler, access=lambda _request: Principal("ana")))
    text = client.get("/api/v1/stream", params={"follow": "false", "after": "0"}).text
    assert f"event: job.added\nid: {scheduler.events()[0].id}" in text


@ON_SQLITE
@pytest.mark.parametrize(
    ("query", "headers"),
    [({"kind": "run.exploded"}, {}), ({}, {"Last-Event-ID": "x"}), ({"after": "1~9"}, {})],
)
def test_a_stream_that_makes_no_sense_is_refused(
    make: Make, query: dict[str, str], headers: dict[str, str]
) -> None:
    """422, instead of a stream without messages."""
    scheduler = make()
    scheduler.prepare()
    client = TestClient(web_app(scheduler, access=lambda _request: Principal("ana")))
    assert client.get("/api/v1/stream", params=query, headers=headers).status_code == 422


def test_under_wsgi_the_stream_is_polled(make: Make) -> None:
    """The response ends with what is there; the client's next request continues."""
    scheduler = make()
    scheduler.task()(lambda_free)
    scheduler.prepare()
    web = web_app(scheduler, access=lambda _request: Principal("ana"))
    host: Any = Starlette(routes=[Mount("/duly", web)])
    wsgi: Any = ASGIMiddleware(host)
    with httpx2.Client(transport=httpx2.WSGITransport(wsgi), base_url="http://x") as client:
        began = client.get("/duly/api/v1/stream").text
        assert began == "retry: 3000\nid: 0\n\n"
        scheduler.add("lambda_free", every(hours=1), id="a")
        text = client.get("/duly/api/v1/stream", headers={"Last-Event-ID": "0"}).text
        number = str(scheduler.events()[0].id)
        assert f"event: job.added\nid: {number}" in text
        assert "event:" not in client.get("/duly/api/v1/stream", params={"after": number}).text
