"""OpenTelemetry spans of calls and runs, in an application that has configured OpenTelemetry.

Such an application has imported it. Where nothing has, Duly does not import it either, and nothing
here does anything. Attributes follow the conventions for messaging systems; they contain names and
ids, and never arguments or results.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from duly.model.redaction import redact_text
from duly.model.text import safe_str
from duly.model.version import VERSION

_API = "opentelemetry.trace"


class Traced(Protocol):
    """The stored facts about a run that its span shows."""

    id: str
    job_id: str | None
    task: str
    queue: str
    cause: Any
    attempt: int
    traceparent: str | None


class Sending:
    """The storing of calls, whose trace context is stored with their runs.

    Attributes:
        traceparent: the W3C trace context; ``None``: no span is active.
    """

    def __init__(self, span: Any = None) -> None:
        self._span = span
        self.traceparent = _current() if _API in sys.modules else None

    def sent(self, run_ids: Sequence[str], queue: str) -> None:
        """Tell which runs were stored."""
        if self._span is None:
            return
        self._span.set_attribute("messaging.destination.name", queue)
        if len(run_ids) == 1:
            self._span.set_attribute("messaging.message.id", run_ids[0])
        else:
            self._span.set_attribute("messaging.batch.message_count", len(run_ids))


class RunSpan:
    """The span of one attempt, from its start until its function has ended.

    Args:
        run: the run.
    """

    def __init__(self, run: Traced) -> None:
        from opentelemetry.context import Context  # noqa: PLC0415 - see the module
        from opentelemetry.trace import Link, SpanKind  # noqa: PLC0415

        attributes = _attributes("run", "process") | {
            "messaging.destination.name": run.queue, "messaging.message.id": run.id,
            "duly.task": run.task, "duly.attempt": run.attempt, "duly.cause": str(run.cause),
        }  # fmt: skip
        if run.job_id is not None:
            attributes["duly.job"] = run.job_id
        sender = _span_context(run.traceparent)
        self._span = _tracer().start_span(
            f"run {run.task}",
            context=Context(),  # the thread may be the enqueuer's, whose span is no parent
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[Link(sender)] if sender is not None and sender.is_valid else [],
        )

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context of the span, for another process."""
        with self.current():
            return _current()

    def current(self) -> AbstractContextManager[Any]:
        """Return a context manager in which spans of the function belong to this one."""
        return _use(self._span)

    def end(self, ended: str, error: tuple[str, str, str | None] | None) -> None:
        """End the span.

        Args:
            ended: how the function ended, such as ``returned`` or ``error``.
            error: the type, the message and the traceback of its error, if there is one.
        """
        self._span.set_attribute("duly.ended", ended)
        if error is not None:
            _record_error(self._span, *error)
        self._span.end()


def run_span(run: Traced) -> RunSpan | None:
    """Begin the span of an attempt, if a tracer provider is configured."""
    return RunSpan(run) if _is_configured() else None


@contextmanager
def sending(operation: str, **names: str) -> Iterator[Sending]:
    """Trace the storing of calls in the block, as a child of the current span if there is one.

    Args:
        operation: the name of the call that stores them.
        names: what is called: ``task=…`` or ``job=…``.
    """
    if not _is_configured():
        yield Sending()
        return
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - see the module

    named = {f"duly.{key}": name for key, name in names.items()}
    span = _tracer().start_span(
        f"{operation} {' '.join(names.values())}",
        kind=SpanKind.PRODUCER,
        attributes=_attributes(operation, "send") | named,
    )
    try:
        with _use(span):
            yield Sending(span)
    except BaseException as error:
        _record_error(span, type(error).__qualname__, safe_str(error, 1_000), None)
        raise
    finally:
        span.end()


@contextmanager
def within(traceparent: str | None) -> Iterator[None]:
    """Let spans in the block belong to a span of another process.

    Args:
        traceparent: its W3C trace context; ``None``: there is none.
    """
    context = _span_context(traceparent) if traceparent and _API in sys.modules else None
    if context is None:
        yield
        return
    from opentelemetry.trace import NonRecordingSpan  # noqa: PLC0415 - see the module

    with _use(NonRecordingSpan(context)):
        yield


def _is_configured() -> bool:
    """Return whether the application has set a tracer provider; without the API, at no cost."""
    trace = sys.modules.get(_API)
    if trace is None:
        return False
    none = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
    return not isinstance(trace.get_tracer_provider(), none)


def _tracer() -> Any:
    from opentelemetry import trace  # noqa: PLC0415 - see the module

    return trace.get_tracer("duly", VERSION)


def _attributes(operation: str, kind: str) -> dict[str, str | int]:
    return {
        "messaging.system": "duly", "messaging.operation.name": operation,
        "messaging.operation.type": kind,
    }  # fmt: skip


def _use(span: Any) -> AbstractContextManager[Any]:
    from opentelemetry.trace import use_span  # noqa: PLC0415 - see the module

    return use_span(span, record_exception=False, set_status_on_exception=False)


def _current() -> str | None:
    """Return the trace context of the current span, if there is one."""
    carrier: dict[str, str] = {}
    _propagator().inject(carrier)
    return carrier.get("traceparent")


def _span_context(traceparent: str | None) -> Any:
    """Return the span context that a stored trace context names, if it is valid."""
    if traceparent is None:
        return None
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 - see the module

    return get_current_span(_propagator().extract({"traceparent": traceparent})).get_span_context()


def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - see the module
        TraceContextTextMapPropagator,
    )

    return TraceContextTextMapPropagator()


def _record_error(span: Any, name: str, message: str, stack: str | None) -> None:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - see the module

    facts = {"exception.type": name, "exception.message": message, "exception.stacktrace": stack}
    shown = {key: redact_text(text) or "" for key, text in facts.items() if text is not None}
    span.add_event("exception", shown)
    span.set_attribute("error.type", name)
    span.set_status(Status(StatusCode.ERROR, shown["exception.message"][:200]))
