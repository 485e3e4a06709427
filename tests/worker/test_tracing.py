"""OpenTelemetry: a call and its run are two traces that a link connects."""

from __future__ import annotations

import asyncio
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from duly import Discard, Retry, Scheduler, every
from tests.support.processes import Children
from tests.worker import process_tasks
from tests.worker.conftest import World

SECRET = "canary-41d6"


class Spans:
    """The spans that have ended."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def text(self) -> str:
        return "".join(span.to_json() for span in self._exporter.get_finished_spans())


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """OpenTelemetry as an application configures it, for one test."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: provider)
    return Spans(exporter)


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.trace_id


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def test_a_run_is_linked_to_the_span_that_enqueued_it(world: World, spans: Spans) -> None:
    """The enqueue belongs to the caller's trace; the run has one of its own, and a link."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda n: n)
    with trace.get_tracer("host").start_as_current_span("request") as request:
        run_id = scheduler.enqueue("work", n=1)
    scheduler.tick()
    sent, ran = spans.one("enqueue work"), spans.one("run work")
    assert sent.parent is not None
    assert sent.parent.span_id == request.get_span_context().span_id
    assert (sent.kind, ran.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert [link.context.span_id for link in ran.links] == [id_of(sent)]
    assert trace_of(ran) != trace_of(sent)
    assert ran.parent is None
    common = {
        "messaging.system": "duly", "messaging.destination.name": "default",
        "messaging.message.id": run_id, "duly.task": "work",
    }  # fmt: skip
    assert dict(sent.attributes or {}) == common | {
        "messaging.operation.name": "enqueue", "messaging.operation.type": "send",
    }  # fmt: skip
    assert dict(ran.attributes or {}) == common | {
        "messaging.operation.name": "run", "messaging.operation.type": "process",
        "duly.attempt": 1, "duly.cause": "enqueue", "duly.ended": "returned",
    }  # fmt: skip


def test_each_attempt_is_a_span_with_the_same_link(world: World, spans: Spans) -> None:
    """A retry is another span; the error is recorded with it, without what looks like a secret."""
    scheduler = world.scheduler()

    @scheduler.task(retry=Retry(attempts=2, wait=1))
    def fail() -> None:
        raise RuntimeError(f"no answer for password={SECRET}")

    scheduler.enqueue(fail)
    scheduler.tick()
    world.forward(scheduler, 5)
    sent, ran = spans.one("enqueue fail"), spans.named("run fail")
    assert [(span.attributes or {})["duly.attempt"] for span in ran] == [1, 2]
    for span in ran:
        assert [link.context.span_id for link in span.links] == [id_of(sent)]
        assert span.status.status_code is StatusCode.ERROR
        (event,) = span.events
        assert event.name == "exception"
        assert (event.attributes or {})["exception.type"] == "RuntimeError"
        assert "no answer" in str((event.attributes or {})["exception.message"])
    assert SECRET not in spans.text()


def test_arguments_and_results_are_in_no_span(world: World, spans: Spans) -> None:
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda name: {"name": name})
    scheduler.enqueue("work", name=SECRET)
    scheduler.enqueue_many("work", [{"name": SECRET}] * 2)
    scheduler.tick()
    assert len(spans.named("run work")) == 3
    assert SECRET not in spans.text()


def test_spans_of_the_function_belong_to_its_run(world: World, spans: Spans) -> None:
    """On a thread, in a coroutine, and when the caller's thread starts the run itself."""
    scheduler, tracer = Scheduler(world.url), trace.get_tracer("host")

    @scheduler.task()
    def plain() -> None:
        with tracer.start_as_current_span("inside plain"):
            pass

    @scheduler.task()
    async def coroutine() -> None:
        await asyncio.sleep(0)
        with tracer.start_as_current_span("inside coroutine"):
            pass

    with scheduler.running(), tracer.start_as_current_span("request"):
        for task in (plain, coroutine):
            record = scheduler.wait(scheduler.enqueue(task), timeout=30)
            assert record.state == "succeeded"
    scheduler.store.dispose()
    for name in ("plain", "coroutine"):
        inner, run = spans.one(f"inside {name}"), spans.one(f"run {name}")
        assert inner.parent is not None
        assert inner.parent.span_id == id_of(run)
        assert run.parent is None


def test_a_scheduled_run_has_no_link(world: World, spans: Spans) -> None:
    """Nobody has sent it; a manual run of the job is linked to the call."""
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.add("work", every(minutes=1), id="j")
    world.forward(scheduler, 60)
    run = spans.one("run work")
    assert list(run.links) == []
    assert (run.attributes or {})["duly.job"] == "j"
    scheduler.run_now("j")
    scheduler.tick()
    _first, second = spans.named("run work")
    assert [link.context.span_id for link in second.links] == [id_of(spans.one("run_now j"))]


def test_a_signal_is_no_error(world: World, spans: Spans) -> None:
    """The function chose to give up."""
    scheduler = world.scheduler()

    @scheduler.task()
    def give_up() -> None:
        raise Discard("obsolete")

    scheduler.enqueue(give_up)
    scheduler.tick()
    span = spans.one("run give_up")
    assert span.status.status_code is StatusCode.UNSET
    assert (span.attributes or {})["duly.ended"] == "discard"


def test_a_call_that_is_refused_is_an_error(world: World, spans: Spans) -> None:
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    with pytest.raises(Exception, match="no such job"):
        scheduler.run_now("no such job")
    assert spans.one("run_now no such job").status.status_code is StatusCode.ERROR


@pytest.mark.processes
def test_a_task_in_another_process_has_a_span(prepared_sqlite_url: str, spans: Spans) -> None:
    """The worker ends it, however the process ended."""
    scheduler = Scheduler(prepared_sqlite_url)
    task = scheduler.task(executor="process")(process_tasks.add)
    scheduler.enqueue(task, a=2)
    scheduler.tick()
    scheduler.stop()
    scheduler.store.dispose()
    assert (spans.one("run add").attributes or {})["duly.ended"] == "returned"


WITHOUT = """
import sys
from duly import Scheduler
scheduler = Scheduler(sys.argv[1])
scheduler.task(name="work")(lambda: None)
scheduler.enqueue("work")
scheduler.tick()
scheduler.stop()
assert not [name for name in sys.modules if name.startswith(("opentelemetry", "prometheus"))]
import opentelemetry.trace
scheduler.enqueue("work")
scheduler.tick()
scheduler.stop()
with scheduler.store.read() as conn:
    print(conn.exec_driver_sql("select count(*), count(traceparent) from duly_run").one())
"""


def test_nothing_is_traced_that_was_not_asked_for(
    prepared_sqlite_url: str, children: Children
) -> None:
    """Duly does not import OpenTelemetry; without a provider no trace context is stored."""
    child = children.python("-c", WITHOUT, prepared_sqlite_url)
    assert child.wait(timeout=60) == 0, child.output()
    assert "(2, 0)" in child.output()


def test_nothing_is_stored_without_an_active_span(world: World) -> None:
    assert "opentelemetry.trace" in sys.modules
    scheduler = world.scheduler()
    scheduler.task(name="work")(lambda: None)
    scheduler.enqueue("work")
    with scheduler.store.read() as conn:
        stored = conn.exec_driver_sql("select traceparent from duly_run").scalars().all()
    assert stored == [None]
