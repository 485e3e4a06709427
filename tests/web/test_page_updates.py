"""An open page asks for its changing parts, which users who may see the same share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from duly.operations.status import Status
from tests.web.site import MOUNT, TOKEN, Client, Site

UPDATE = {"X-Duly-Update": "1"}


@pytest.fixture
async def browser(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose requests share one event loop, as those to a server do."""
    transport = httpx2.ASGITransport(site.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
def readings(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[Status]:
    """The statuses that were read, which is once for each page that was rendered."""
    read: list[Status] = []
    status = site.scheduler.aio.status

    async def counted(*, brief: bool) -> Status:
        read.append(await status(brief=brief))
        return read[-1]

    monkeypatch.setattr(site.scheduler.aio, "status", counted)
    return read


def of(role: str, owners: str | None = None, path: str = "/jobs") -> dict[str, object]:
    """The request of a user with a role for an update."""
    cookie = f"who={role}" + (f"; owners={owners}" if owners else "")
    return {"url": MOUNT + path, "headers": {**UPDATE, "Cookie": f"{cookie}; duly_csrf={TOKEN}"}}


def test_an_update_has_the_parts_that_change_and_nothing_of_the_user(client: Client) -> None:
    """The token of the forms is the browser's, and the name in the footer is the user's."""
    page = client.page("/jobs")
    update = client.get(f"{MOUNT}/jobs", headers=UPDATE).text
    assert TOKEN in page
    assert TOKEN not in update
    assert "<strong>ana</strong>" in page
    assert "ana" not in update
    assert "<title>Jobs · Duly</title>" in update
    main = page.partition("<main")[2].partition("</main>")[0]
    assert update.partition("<main")[2].partition("</main>")[0] == main.replace(TOKEN, "")
    assert update.count("data-live") == 2


async def test_an_update_is_rendered_once_for_all_who_ask_for_it(
    browser: httpx2.AsyncClient, readings: list[Status]
) -> None:
    """Fifty dashboards cost one rendering a second."""
    answers = await asyncio.gather(*(browser.get(**of("viewer")) for _ in range(50)))  # type: ignore[arg-type]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len(readings) == 1


async def test_an_update_is_rendered_again_after_a_second(
    site: Site, browser: httpx2.AsyncClient, readings: list[Status]
) -> None:
    """What has happened meanwhile is shown."""
    before = await browser.get(**of("viewer"))  # type: ignore[arg-type]
    site.scheduler.pause("stock", reason="holidays")
    site.clock.advance(1)
    after = await browser.get(**of("viewer"))  # type: ignore[arg-type]
    assert "holidays" not in before.text
    assert "holidays" in after.text
    assert len(readings) == 2


async def test_a_shared_update_has_its_age(site: Site, browser: httpx2.AsyncClient) -> None:
    """A page that has heard of a change since an update was made knows that it has to ask again."""
    made = await browser.get(**of("viewer"))  # type: ignore[arg-type]
    site.clock.advance(0.4)
    shared = await browser.get(**of("viewer"))  # type: ignore[arg-type]
    site.clock.advance(0.6)
    again = await browser.get(**of("viewer"))  # type: ignore[arg-type]
    ages = [answer.headers["x-duly-age"] for answer in (made, shared, again)]
    assert ages == ["0", "400", "0"]


@pytest.mark.parametrize(
    "other",
    [of("admin"), of("viewer", "acme"), of("viewer", path="/jobs?text=x"), of("viewer", path="/")],
)
async def test_users_who_may_see_something_else_do_not_share(
    browser: httpx2.AsyncClient, readings: list[Status], other: dict[str, object]
) -> None:
    """Roles, owners and addresses have updates of their own."""
    await browser.get(**of("viewer"))  # type: ignore[arg-type]
    await browser.get(**other)  # type: ignore[arg-type]
    assert len(readings) == 2


async def test_a_shared_update_is_for_those_who_may_see_it(browser: httpx2.AsyncClient) -> None:
    """Each request is authorized, although its response is there already."""
    assert (await browser.get(**of("viewer"))).status_code == 200  # type: ignore[arg-type]
    assert (await browser.get(**of("nobody"))).status_code == 401  # type: ignore[arg-type]


async def test_an_update_survives_its_first_reader(
    site: Site, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is closed while its update is rendered does not spoil it for the others."""
    begun, status, read = asyncio.Event(), site.scheduler.aio.status, []

    async def slow(*, brief: bool) -> Status:
        begun.set()
        read.append(await status(brief=brief))
        return read[-1]

    monkeypatch.setattr(site.scheduler.aio, "status", slow)
    first = asyncio.ensure_future(browser.get(**of("viewer")))  # type: ignore[arg-type]
    await begun.wait()
    second = asyncio.ensure_future(browser.get(**of("viewer")))  # type: ignore[arg-type]
    first.cancel()
    assert (await second).status_code == 200
    assert len(read) == 1
