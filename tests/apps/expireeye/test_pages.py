"""The pages without a browser: who may see and send what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from apps.expireeye.accounts import make_operator
from apps.expireeye.history import Entry
from apps.expireeye.pages import formatting
from apps.expireeye.pages.session import COOKIE
from apps.web import times
from tests.apps.expireeye.world import World

PASSWORD = "milk-and-honey"
OURS = {"sec-fetch-site": "same-origin", "accept": "text/html"}


class Visitor:
    """A browser's view of the pages: cookies, and the form token of the last page."""

    def __init__(self, world: World) -> None:
        self.client = world.client
        self.token = ""

    def open(self, path: str, **params: Any) -> Any:
        answer = self.client.get(path, params=params, headers={"accept": "text/html"})
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        self.token = found[1] if found else self.token
        return answer

    def send(self, path: str, headers: Mapping[str, str] = OURS, **form: Any) -> Any:
        return self.client.post(path, data={"csrf": self.token, **form}, headers=headers)

    def register(self, email: str, zone: str = "UTC") -> Any:
        self.open("/register")
        answer = self.send("/register", email=email, password=PASSWORD, zone=zone)
        assert answer.url.path == "/my-products"
        self.open("/my-products")
        return answer


@pytest.fixture
def visitor(world: World) -> Iterator[Visitor]:
    yield Visitor(world)
    world.client.cookies.clear()


def test_a_form_that_is_not_ours_is_refused(visitor: Visitor, world: World) -> None:
    """Without the token, with another session's, from another site, or without an origin."""
    visitor.register("ana@example.com")
    form: dict[str, Any] = {"name": "Milk", "date": "2026-02-01"}
    foreign: list[dict[str, str]] = [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {},
    ]
    for headers in foreign:
        answer = visitor.send("/my-products", headers={**headers, "accept": "text/html"}, **form)
        assert answer.status_code == 403, headers
        assert "came from another site" in answer.text
    for token in (
        "",
        "nonsense",
        world.services.tokens.issue("csrf", world.soon(9) - world.soon(0), id="x"),
    ):
        assert visitor.send("/my-products", csrf=token, **form).status_code == 403
    assert visitor.client.post("/ws/ticket", headers=OURS).status_code == 403
    assert world.items() == {}
    assert (
        visitor.send("/my-products", headers={"origin": "http://localhost"}, **form).status_code
        == 200
    )
    assert len(world.items()) == 1


def test_the_cookie_is_kept_from_scripts_and_other_sites(visitor: Visitor) -> None:
    """HttpOnly, SameSite=Lax; Secure except on this machine; a new id at sign-in."""
    visitor.open("/sign-in")
    before = visitor.client.cookies[COOKIE]
    answer = visitor.open("/register")
    assert re.search(r"HttpOnly; Max-Age=\d+; Path=/; SameSite=lax$", answer.headers["set-cookie"])
    visitor.register("ana@example.com")
    assert visitor.client.cookies[COOKIE] != before
    far = visitor.client.get("/sign-in", headers={"host": "eye.example"})
    assert "Secure" in far.headers["set-cookie"]


def test_a_session_ends(visitor: Visitor, world: World) -> None:
    """By signing out, or after twelve hours; then pages lead to the sign-in page."""
    for path in ("/", "/my-products", "/inbox", "/operator"):
        assert visitor.open(path).url.path == "/sign-in"
    visitor.register("ana@example.com")
    assert visitor.open("/").url.path == "/my-products"
    world.clock.advance(hours=12)
    assert visitor.open("/my-products").url.path == "/sign-in"
    answer = visitor.send("/sign-in", email="ana@example.com", password="wrong")
    assert (answer.status_code, "Address or password is wrong." in answer.text) == (401, True)
    visitor.send("/sign-in", email="ana@example.com", password=PASSWORD)
    assert visitor.open("/sign-in").url.path == "/my-products"
    assert visitor.send("/sign-out").url.path == "/sign-in"
    assert visitor.open("/inbox").url.path == "/sign-in"


def test_wrong_forms_come_back_with_what_was_typed(visitor: Visitor, world: World) -> None:
    """The fault is named beside the field, and nothing is stored."""
    visitor.open("/register")
    answer = visitor.send("/register", email="ana", password=PASSWORD, zone="UTC")
    assert (answer.status_code, 'value="ana"' in answer.text) == (422, True)
    visitor.register("ana@example.com")
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("date", {"name": "Milk & <b>", "date": "2026-02-31"}, "is not a valid date"),
        ("name", {"name": " ", "date": "2026-02-01"}, "A name must have"),
        (
            "quantity",
            {"name": "Milk", "date": "2026-02-01", "quantity": "none"},
            "must be a number",
        ),
    ]
    for field, form, said in wrong:
        answer = visitor.send("/my-products", **form)
        assert (answer.status_code, said in answer.text) == (422, True), field
        assert 'aria-invalid="true" aria-describedby="fault"' in answer.text
        assert "<b>" not in answer.text.split("<main")[1].replace("<b>0</b>", "")
    assert world.items() == {}


def test_products_are_added_changed_and_removed(visitor: Visitor, world: World) -> None:
    """In the owner's time zone; one catalogue entry for one name."""
    visitor.register("kenji@example.com", zone="Asia/Tokyo")
    visitor.send("/my-products", name="Milk", date="2026-01-31")
    visitor.send("/my-products", name=" milk ", date="2026-01-31", time="18:00", quantity="2")
    page = visitor.open("/my-products").text
    assert "31 Jan 2026, end of the day" in page
    assert "31 Jan 2026, 18:00" in page
    first, second = sorted(world.items().values(), key=lambda item: item.quantity)
    assert first.product_id == second.product_id
    assert (first.expiry_date.hour, second.expiry_date.hour) == (15, 9)
    visitor.send(f"/my-products/{second.id}", date="2026-02-01", quantity="3", note="in the door")
    changed = world.items()[second.id]
    assert (changed.expiry_date.hour, changed.quantity, changed.note) == (15, 3, "in the door")
    wrong = visitor.send(f"/my-products/{second.id}", date="")
    assert (wrong.status_code, f'id="edit-{second.id}" open' in wrong.text) == (422, True)
    visitor.send(f"/my-products/{second.id}/remove")
    assert list(world.items()) == [first.id]
    for path in (f"/my-products/{second.id}", f"/my-products/{second.id}/remove"):
        assert visitor.send(path, date="2026-02-01").status_code == 404


def test_notices_are_read(visitor: Visitor, world: World) -> None:
    """One by one or all at once; the badge follows."""
    visitor.register("ana@example.com")
    for name in ("Milk", "Eggs", "Bread"):
        visitor.send("/my-products", name=name, date="2025-12-01")
    world.tick()
    page = visitor.open("/inbox").text
    assert page.count("Mark as read") == 3
    assert 'class="badge" data-region>3<' in page
    visitor.send("/inbox/1/read")
    assert visitor.open("/inbox").text.count("Mark as read") == 2
    visitor.send("/inbox/read-all")
    assert "You have read everything." in visitor.open("/inbox").text
    assert visitor.open("/inbox", show="all").text.count('class="notice"') == 3
    assert visitor.send("/inbox/99/read").status_code == 404


def test_the_operators_page(visitor: Visitor, world: World) -> None:
    """Runs the check, changes the frequency and puts it back; a member may not see it."""
    visitor.register("ana@example.com")
    assert visitor.open("/operator").status_code == 403
    assert visitor.send("/operator/run").status_code == 403
    assert visitor.open("/duly/").status_code == 401
    _make_operator(world, "ana@example.com")
    page = visitor.open("/operator").text
    assert "No runs yet" in page
    assert "The check has run." in visitor.send("/operator/run").text
    assert len(world.runs()) == 1
    page = visitor.send("/operator/frequency", frequency="hour").text
    assert "Every hour" in page.split("<dt>Next")[0]
    assert "changed manually" in page
    page = visitor.send("/operator/frequency", frequency="configured").text
    assert "changed manually" not in page
    assert "There are no runs with this outcome." in visitor.open("/operator", outcome="error").text
    assert visitor.open("/duly/").status_code == 200


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "now"), (1, "in 1 second"), (-1, "1 second ago"), (89, "in 89 seconds"),
        (90, "in 2 minutes"), (-5399, "90 minutes ago"), (5400, "in 2 hours"),
        (129_599, "in 36 hours"), (129_600, "in 2 days"), (-86400 * 400, "400 days ago"),
    ],
)  # fmt: skip
def test_times_in_words(world: World, seconds: float, text: str) -> None:
    """Seconds up to a minute and a half, then minutes, hours, days."""
    assert times.relative(world.soon(seconds), world.soon(0)) == text


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("catch_up=latest", "3 ticks missed: only the newest of them ran"),
        ("misfire_grace=30 s", "3 ticks missed: they could not start in time"),
    ],
)
def test_missed_ticks_are_explained_in_words(world: World, reason: str, text: str) -> None:
    """The operator reads what happened, not the names of Duly's options."""
    entry = Entry(at=world.soon(0), outcome="missed", ticks=3, detail=reason)
    assert formatting.what_happened(entry) == text


def _make_operator(world: World, email: str) -> None:
    async def promote() -> bool:
        async with world.services.database.begin() as session:
            return await make_operator(session, email)

    assert world.wait_for(promote)


def test_every_address_has_a_name_of_its_own(world: World) -> None:
    """Pages find each other by name; two routes of one name would lead astray."""
    app: Any = world.client.app
    addresses = {(route.name, route.path) for route in app.routes if getattr(route, "name", None)}
    names = [name for name, _ in addresses]
    assert sorted(names) == sorted(set(names))
