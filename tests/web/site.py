"""A scheduler under a virtual clock, its web application, and clients with each role."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from starlette.testclient import TestClient

from duly import Retry, Run, Scheduler, VirtualClock, cron, every
from duly.model.key import ROLES
from duly.web import Principal, web_app

MOUNT = "/duly"
API = f"{MOUNT}/api/v1"
TOKEN = "a-token-of-this-browser"


def by_cookie(request: Request) -> Principal | None:
    """Whoever the cookie ``who`` names, as a host's own session would."""
    role = request.cookies.get("who")
    known = next((held for held in ROLES if held == role), None)
    owners = request.cookies.get("owners")
    return Principal("ana", known, owners.split(".") if owners else None) if known else None


class Client(TestClient):
    """A browser that is signed in; its unsafe requests come from our own pages."""

    def __init__(self, app: Starlette, role: str | None, owners: str | None = None) -> None:
        super().__init__(
            app,
            base_url="http://localhost",
            cookies={"duly_csrf": TOKEN}
            | ({"who": role} if role else {})
            | ({"owners": owners} if owners else {}),
            headers={"Sec-Fetch-Site": "same-origin"},
            follow_redirects=False,
            raise_server_exceptions=False,
        )

    def api(self, path: str, **query: Any) -> Any:
        """What the API answers, which must be a success."""
        answer = self.get(API + path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def do(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send an unsafe request to the API."""
        return self.post(API + path, json=body or {}, headers={"X-CSRF-Token": TOKEN})

    def submit(self, path: str, **fields: str) -> Any:
        """Send a form of the dashboard."""
        return self.post(MOUNT + path, data={"csrf_token": TOKEN, **fields})

    def page(self, path: str, **query: Any) -> str:
        """The HTML of a page, which must be there."""
        answer = self.get(MOUNT + path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.text


class Site:
    """One database, one clock, one scheduler, one web application.

    Args:
        url: of the database.
        start: the clock's first instant. Ids of one process rise however its clocks are set, so a
            test that reads times from ids takes a day of its own.
    """

    def __init__(self, url: str, *, start: datetime | None = None) -> None:
        self.clock = VirtualClock(start)
        self.scheduler = Scheduler(url, clock=self.clock, timezone="Europe/Madrid")
        declare(self.scheduler)
        web = web_app(self.scheduler, access=by_cookie)
        self.app = Starlette(routes=[Mount(MOUNT, web)])
        self.scheduler.tick()

    def client(self, role: str | None = "admin", owners: str | None = None) -> Client:
        """A browser of somebody with this role; ``None``: of nobody.

        Args:
            role: the role.
            owners: the owners to which the user is restricted, separated by dots.
        """
        return Client(self.app, role, owners)

    def forward(self, seconds: float) -> None:
        """Let time pass, and do what falls due."""
        self.clock.advance(seconds)
        self.scheduler.tick()

    def run_of(self, job: str) -> str:
        """The id of a job's newest run."""
        return self.scheduler.runs(job=job, limit=1)[0].id


def declare(scheduler: Scheduler) -> None:
    """The jobs of every test: one that works, one that fails, one that is seldom."""

    @scheduler.job(every(seconds=10), id="stock", tags=["shop"])
    def count_stock(run: Run) -> dict[str, int]:
        """Count what is in stock."""
        run.log.info("counted %d products", 7)
        run.progress(7, 7, "done")
        return {"counted": 7}

    @scheduler.job(every(seconds=60), id="prices", retry=Retry(attempts=1))
    def fetch_prices(source: str = "feed") -> None:
        raise ConnectionError(f"no answer from {source}")

    @scheduler.job(cron("0 9 * * 1-5"), id="letter", tags=["mail"], queue="mail")
    def send_letter() -> None:
        """Send the daily letter."""

    @scheduler.task()
    def greet(name: str = "world") -> str:
        return f"hello {name}"
