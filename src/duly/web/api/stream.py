"""The stream of events, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from fastapi import Header, Query
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from duly.model.event import check_kind
from duly.model.event_position import EventPosition
from duly.operations.events import Activity, OwnedEvent
from duly.web.api.paging import QueryModel, Text
from duly.web.context import Context, RequestContext
from duly.web.event_hub import EventHub, Message, Subscription
from duly.web.paths import API_PREFIX
from duly.web.routes import Routes

routes = Routes(API_PREFIX, tag="events")
HEARTBEAT_S = 15.0
RETRY_MS = 3_000
CHANGED = "changed"
"""The kind of the message that tells that runs were created, have started or have ended."""


class EventStream(StreamingResponse):
    """A response of server-sent events."""

    media_type = "text/event-stream"


class StreamQuery(QueryModel):
    """Which events, and from where."""

    kind: Annotated[
        list[Text],
        Field(description="Only these kinds; `changed` for the counts of runs. May be repeated."),
    ] = Field([])
    after: Annotated[
        Text | None,
        Field(description="The id of the last message that was seen, or of an event."),
    ] = None
    follow: Annotated[
        bool,
        Field(description="`false`: respond with what is there, and end, for clients that poll."),
    ] = True


@routes.get("/stream", scope="own", media=EventStream)
async def stream_events(
    context: Context,
    query: Annotated[StreamQuery, Query()],
    last_event_id: Annotated[Text | None, Header()] = None,
) -> Response:
    """Stream the audit trail as server-sent events, from now on or after ``Last-Event-ID``.

    Each message has the kind as its ``event``, and the event as JSON. The message ``changed`` tells
    that runs were created, have started or have ended, which the audit trail does not list. Under
    WSGI the response has what is there and ends, and the client asks again.
    """
    for kind in query.kind:
        if kind != CHANGED:
            check_kind(kind)
    given = last_event_id or query.after
    aio = context.scheduler.aio
    start = None if given is None else await aio.event_position(given)
    owners = None if context.owners is None else frozenset(context.owners)
    wanted = _Wanted(frozenset(query.kind), owners)
    headers = {"X-Accel-Buffering": "no"}
    if not query.follow or "wsgi_environ" in context.request.scope:
        text = await _one_batch(context, start or await aio.event_position(), wanted)
        return EventStream([text], headers=headers)
    hub = _hub(context)
    if hub.full:
        raise HTTPException(503, "Too many streams are open in this process; try again later.")
    subscription, position = await hub.subscribe(start)
    messages = _messages(context, hub, subscription, position, wanted)
    return EventStream(messages, headers=headers)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a stream shows.

    Attributes:
        kinds: the kinds of messages; none: all.
        owners: the owners whose events it may show; ``None``: all.
    """

    kinds: frozenset[str]
    owners: frozenset[str] | None

    def frames(
        self, messages: Sequence[Message], position: EventPosition, now: datetime
    ) -> Iterator[str]:
        """Yield messages as text, and move the position with each; leave out what it has seen."""
        for message in messages:
            if isinstance(message, Activity):
                if not self.kinds or CHANGED in self.kinds:
                    yield _frame(CHANGED, message.to_dict() if self.owners is None else {}, None)
            elif position.accept(message.event.id or 0, now) and self._shows(message):
                yield _frame(message.event.kind, message.event.to_dict(), position)

    def _shows(self, message: OwnedEvent) -> bool:
        event, owners = message
        is_wanted = not self.kinds or event.kind in self.kinds
        return is_wanted and (self.owners is None or not self.owners.isdisjoint(owners))


async def _messages(
    context: RequestContext,
    hub: EventHub,
    subscription: Subscription,
    position: EventPosition,
    wanted: _Wanted,
) -> AsyncIterator[str]:
    """Yield what has appeared since the position, and then what the hub reads.

    The subscription began before, so that nothing is left out; the position refuses what was seen.
    """
    now, ahead = context.scheduler.clock.now, position.copy()
    try:
        yield _began(position)
        while missed := await context.scheduler.aio.events_beyond(ahead):
            yield "".join(wanted.frames(missed, position, now()))
        present = [await context.scheduler.aio.activity()]
        yield "".join(wanted.frames(present, position, now()))
        while not subscription.ended:
            messages = await subscription.take(HEARTBEAT_S)
            # A message without data only moves the client's position.
            yield "".join(wanted.frames(messages, position, now())) or f": \nid: {position}\n\n"
    finally:
        hub.leave(subscription)


async def _one_batch(context: RequestContext, position: EventPosition, wanted: _Wanted) -> str:
    found = await context.scheduler.aio.events_beyond(position.copy())
    now = context.scheduler.clock.now()
    return _began(position) + "".join(wanted.frames(found, position, now))


def _began(position: EventPosition) -> str:
    return f"retry: {RETRY_MS}\nid: {position}\n\n"


def _frame(kind: str, data: dict[str, Any], position: EventPosition | None) -> str:
    number = "" if position is None else f"id: {position}\n"
    return f"event: {kind}\n{number}data: {json.dumps(data)}\n\n"


def _hub(context: RequestContext) -> EventHub:
    """Return the hub of this event loop: there is one, except in tests."""
    state = context.request.app.state
    if not hasattr(state, "event_hubs"):
        state.event_hubs = WeakKeyDictionary[asyncio.AbstractEventLoop, EventHub]()
    hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, EventHub] = state.event_hubs
    return hubs.setdefault(asyncio.get_running_loop(), EventHub(context.scheduler))
