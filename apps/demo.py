"""``python -m apps.demo``: the applications of this repository in one process, on SQLite.

``HOST`` and ``PORT`` set the address (default: 127.0.0.1:8000). The databases are in ``var/``.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from html import escape
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from apps import Demo, demo_address, listening
from apps.alerts.demo import demo as alerts
from apps.expireeye.demo import demo as expireeye
from apps.mail_catcher.app import mail_catcher
from apps.manageit.demo import demo as manageit
from apps.sneaky_klaus.demo import demo as sneaky_klaus
from duly.web import local_key, web_app

APPLICATIONS: Sequence[Callable[[Path], Demo]] = (
    expireeye,
    alerts,
    sneaky_klaus,
    manageit,
)  # fmt: skip - one line for each application
FOLDER = Path("var") / "demo"


def main() -> None:
    """Serve until interrupted."""
    host, port = listening()
    logging.basicConfig(level="WARNING", format="%(levelname)s %(name)s: %(message)s")
    FOLDER.mkdir(parents=True, exist_ok=True)
    demos, key = [build(FOLDER) for build in APPLICATIONS], secrets.token_urlsafe(24)
    app = assemble(demos, key, lambda: _say(welcome(demos, key, demo_address())))
    uvicorn.run(
        app, host=host, port=port, log_level="warning", ws_max_size=16384, ws_ping_interval=30,
        timeout_graceful_shutdown=3,
    )  # fmt: skip


def assemble(
    demos: Sequence[Demo], key: str, announce: Callable[[], None] = lambda: None
) -> Starlette:
    """Return an application with an index, the given applications, and a dashboard for each.

    Args:
        demos: the applications.
        key: the key for the dashboards.
        announce: called once everything is running.
    """
    access = local_key(key=key)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for demo in demos:
                await stack.enter_async_context(demo.running())
            announce()
            yield

    async def index(request: Request) -> Response:
        here = request.url.hostname in _LOOPBACK  # others must not read the key from the page
        html = _PAGE.format("".join(_card(demo, key if here else None) for demo in demos))
        return HTMLResponse(html, headers={"content-security-policy": _POLICY})

    async def first_dashboard(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/duly/{demos[0].name}/{query}")

    async def style(_: Request) -> Response:
        return Response(_STYLE, media_type="text/css")

    routes = [
        Route("/", index),
        Route("/demo.css", style),
        Route("/duly", first_dashboard),
        *(Mount(f"/duly/{demo.name}", web_app(demo.scheduler, access=access)) for demo in demos),
        *(
            Mount(f"/mails/{demo.name}", mail_catcher(demo.mails, demo.title))
            for demo in demos
            if demo.mails
        ),
        *(Mount(f"/{demo.name}", demo.app) for demo in demos),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def welcome(demos: Sequence[Demo], key: str, address: str) -> str:
    """Return the text for the terminal."""
    lines = ["", f"  Duly's demo is at {address}", ""]
    for demo in demos:
        lines += [f"  {demo.title:<12} {address}/{demo.name}/    {demo.about}"]
        lines += [f"    {email}  {password}  ({role})" for email, password, role in demo.accounts]
        lines += [f"    - {hint}" for hint in demo.hints]
        lines += [f"    Its mails: {address}/mails/{demo.name}/"] if demo.mails else []
        lines += [f"    Its jobs in Duly's dashboard: {address}/duly/{demo.name}/?key={key}", ""]
    return "\n".join([*lines, "  Press Ctrl-C to stop.", ""])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _card(demo: Demo, key: str | None) -> str:
    accounts = "".join(
        f"<tr><td>{escape(role)}<td><code>{escape(email)}</code><td><code>{escape(password)}</code>"
        for email, password, role in demo.accounts
    )
    hints = "".join(f"<li>{escape(hint)}" for hint in demo.hints)
    mails = f'<a href="/mails/{demo.name}/">Its mails</a> ' if demo.mails else ""
    return (
        f"<section><h2>{escape(demo.title)}</h2><p>{escape(demo.about)}</p>"
        f'<p class="go"><a class="main" href="/{demo.name}/">Open {escape(demo.title)}</a> {mails}'
        f'<a href="/duly/{demo.name}/{f"?key={key}" if key else ""}">Its jobs in Duly</a></p>'
        f"<h3>Accounts</h3><table>{accounts}</table><h3>What to try</h3><ul>{hints}</ul></section>"
    )


_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Duly demo</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/demo.css"></head>
<body><main><h1>Duly</h1><p>In the proper manner, at the proper time: a durable job scheduler for
Python web applications, and applications built on it.</p>{}</main></body></html>
"""

_STYLE = """
:root { color-scheme: light dark; --paper: #f6f5f1; --card: #fff; --ink: #1d2320; --soft: #5c665f;
  --line: #dfded7; --brand: #0f6b5c; --on-brand: #fff; font: 16px/1.55 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { :root { --paper: #111513; --card: #191e1b; --ink: #e7ebe7;
  --soft: #9ba69f; --line: #2c3430; --brand: #64cdb6; --on-brand: #08211c; } }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere; }
main { max-width: 760px; margin: 0 auto; padding: 7vh 20px; }
h1 { margin: 0; font-size: 2.4rem; letter-spacing: -0.03em; }
h1 + p, td:first-child { color: var(--soft); }
section { margin-top: 28px; padding: 24px; background: var(--card); border: 1px solid var(--line);
  border-radius: 14px; }
h2 { margin: 0; font-size: 1.35rem; } h2 + p { margin: 4px 0 0; color: var(--soft); }
h3 { margin: 22px 0 6px; font-size: 0.875rem; color: var(--soft); font-weight: 600; }
.go { display: flex; flex-wrap: wrap; gap: 10px 18px; align-items: center; margin: 18px 0 0; }
a { color: var(--brand); text-underline-offset: 3px; }
a.main { padding: 9px 18px; border-radius: 9px; background: var(--brand); color: var(--on-brand);
  font-weight: 600; text-decoration: none; }
td { padding: 2px 14px 2px 0; vertical-align: top; } ul { margin: 0; padding-left: 1.2em; }
li { margin: 4px 0; } code { font: 0.92em ui-monospace, monospace; }
"""


if __name__ == "__main__":
    main()
