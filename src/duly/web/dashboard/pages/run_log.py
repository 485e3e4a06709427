"""The log of a run: its newest lines for the page of the run, all in pages, and as a file."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated

from fastapi import Query
from starlette.responses import PlainTextResponse, Response

from duly.model.run import LogLine
from duly.web.api.paging import Number, QueryModel, Text
from duly.web.context import Context, RequestContext
from duly.web.dashboard.rendering import render, render_part
from duly.web.page_updates import is_update
from duly.web.paths import Name
from duly.web.routes import Routes

MAX_LINES = 1000
"""The number of lines that a page shows."""

routes = Routes(tag=None)


class LogSearch(QueryModel):
    """The query of the page of a run.

    Attributes:
        log: show only lines with this text, ignoring case.
    """

    log: Text | None = None


class LinesQuery(LogSearch):
    """The query of a part of a log.

    Attributes:
        after: the id of the line before its first one.
    """

    after: Number = 0


@routes.get("/runs/{run_id}/log")
async def show_lines(
    context: Context, run_id: Name, query: Annotated[LinesQuery, Query()]
) -> Response:
    """Show a part of a run's log; an open page of the run receives only the lines that it lacks."""
    run = (await context.scheduler.aio.run(run_id)).redacted()
    found = await context.scheduler.aio.run_log(run_id, after=query.after, limit=MAX_LINES)
    lines = matching(found, query.log)
    if is_update(context.request):
        return render_part(context, "log_lines.html", lines=lines)
    following = found[-1].id if len(found) == MAX_LINES else None
    return await render(
        context, "log.html", refresh=None, run=run, query=query, lines=lines, following=following
    )


@routes.get("/runs/{run_id}/log.txt")
async def download_log(context: Context, run_id: Name) -> Response:
    """Return the whole log of a run as a text file."""
    run = await context.scheduler.aio.run(run_id)
    lines = [line.redacted() for line in await context.scheduler.aio.run_log(run_id)]
    text = "".join(f"{_instant(line)} {line.level:<8} {line.message}\n" for line in lines)
    disposition = f'attachment; filename="run-{run.id}.log.txt"'
    return PlainTextResponse(text, headers={"Content-Disposition": disposition})


async def newest_lines(
    context: RequestContext, run_id: str, query: LogSearch
) -> tuple[list[LogLine], int]:
    """Return the newest matching lines of a run's log, and the number of those left out."""
    lines = matching(await context.scheduler.aio.run_log(run_id), query.log)
    return lines[-MAX_LINES:], max(0, len(lines) - MAX_LINES)


def matching(lines: list[LogLine], text: str | None) -> list[LogLine]:
    """Return the lines that contain a text as they are shown, ignoring case."""
    wanted = (text or "").casefold()
    shown = [line.redacted() for line in lines]
    return [line for line in shown if wanted in f"{line.level} {line.message}".casefold()]


def _instant(line: LogLine) -> str:
    at = line.at.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
