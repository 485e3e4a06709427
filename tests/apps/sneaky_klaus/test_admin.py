"""The account of the admin, and the sessions of browsers."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import event

from apps.sneaky_klaus.database import db
from apps.sneaky_klaus.models import Admin, BrowserSession
from tests.apps.sneaky_klaus.browser import ADMIN, PASSWORD, Browser, admin_of
from tests.apps.sneaky_klaus.world import World


def test_the_first_visitor_sets_up_the_admin_and_no_other_does(world: World) -> None:
    """The first run asks for the admin's account; afterwards the page does not exist."""
    browser = Browser(world)
    for method in ("GET", "HEAD"):
        response = browser.client.open("/admin/exchanges", method=method)
        assert response.location == "/admin/login?next=/admin/exchanges"
    assert browser.get("/admin/login").location == "/admin/setup"
    short = browser.post("/admin/setup", email="no address", password="short")
    assert short.status_code == 422
    assert "This is not a valid e-mail address." in short.text
    assert "Use 8 to 200 characters." in short.text
    made = browser.post("/admin/setup", email=ADMIN.upper(), password=PASSWORD)
    assert (made.status_code, made.location) == (303, "/admin/exchanges")
    [admin] = world.rows(Admin)
    assert admin.email == ADMIN
    assert PASSWORD not in admin.password_hash
    assert ADMIN in browser.read("/admin/exchanges")
    assert Browser(world).get("/admin/setup").status_code == 404
    assert (
        Browser(world).post("/admin/setup", email="b@x.org", password=PASSWORD).status_code == 404
    )
    assert len(world.rows(Admin)) == 1


def test_a_sign_in_leads_to_the_page_that_was_asked_for(world: World) -> None:
    """The admin comes to the page of this site that was asked for, and to no other site."""
    admin_of(world)
    for asked, reached in {
        "/admin/exchanges/new": "/admin/exchanges/new",
        "//evil.example.com": "/admin/exchanges",
        "/\\evil.example.com": "/admin/exchanges",
        "/%09/evil.example.com": "/admin/exchanges",
        "/%0a/evil.example.com": "/admin/exchanges",
        "https://evil.example.com": "/admin/exchanges",
    }.items():
        fields = {"email": ADMIN, "password": PASSWORD}
        assert Browser(world).post(f"/admin/login?next={asked}", fields).location == reached


def test_wrong_passwords_are_refused_and_limited(world: World) -> None:
    """A wrong password is a 401; after ten of them, even the right one is a 429 for a while."""
    admin_of(world)
    browser = Browser(world, "203.0.113.7")
    for email in [ADMIN, "unknown@example.com"] * 5:
        wrong = browser.post("/admin/login", email=email, password="wrong")
        assert (wrong.status_code, "Address or password is wrong." in wrong.text) == (401, True)
    limited = browser.post("/admin/login", email=ADMIN, password=PASSWORD)
    assert limited.status_code == 429
    assert 0 < int(limited.headers["Retry-After"]) <= 900
    other = Browser(world, "203.0.113.8").post("/admin/login", email=ADMIN, password=PASSWORD)
    assert other.status_code == 303
    world.set_clock(world.clock.now() + timedelta(minutes=15))
    assert browser.post("/admin/login", email=ADMIN, password=PASSWORD).status_code == 303


def test_a_form_without_its_token_is_refused(world: World) -> None:
    """A form that another site sends changes nothing: it is refused with a readable page."""
    browser = admin_of(world)
    stranger = Browser(world).token()
    for token in ({}, {"csrf": "invented"}, {"csrf": stranger}):
        refused = browser.client.post("/admin/logout", data=token)
        assert refused.status_code == 403
        assert "came from another site" in refused.text
    assert browser.get("/admin/exchanges").status_code == 200


def test_a_session_has_a_new_id_after_each_sign_in_and_ends_at_the_sign_out(world: World) -> None:
    """Neither the cookie of before the sign-in nor that of before the sign-out lets anyone in."""
    browser = Browser(world)
    browser.post("/admin/setup")
    before = _cookie(browser)
    assert before
    browser.post("/admin/setup", email=ADMIN, password=PASSWORD)
    signed_in = _cookie(browser)
    assert signed_in != before
    [row] = world.rows(BrowserSession)
    assert row.id == hashlib.sha256(signed_in.encode()).hexdigest()
    assert browser.post("/admin/logout").location == "/"
    assert _cookie(browser) != signed_in
    assert world.rows(BrowserSession) == []
    thief = Browser(world)
    thief.client.set_cookie("klaus_session", signed_in)
    assert thief.get("/admin/exchanges").status_code == 303


def test_a_session_lasts_twelve_hours_from_its_use(world: World) -> None:
    """Using the pages extends the session; it is written once in half of its lifetime at most."""
    browser = admin_of(world)
    [first] = world.rows(BrowserSession)
    assert first.expires_at == world.clock.now() + timedelta(hours=12)
    world.set_clock(world.clock.now() + timedelta(hours=5))
    browser.read("/admin/exchanges")
    assert world.rows(BrowserSession)[0].expires_at == first.expires_at
    world.set_clock(world.clock.now() + timedelta(hours=2))
    browser.read("/admin/exchanges")
    [extended] = world.rows(BrowserSession)
    assert extended.expires_at == world.clock.now() + timedelta(hours=12)
    world.set_clock(extended.expires_at)
    assert browser.get("/admin/exchanges").status_code == 303


@pytest.mark.parametrize(
    ("host", "secure"), [("localhost", False), ("127.0.0.1:8000", False), ("klaus.org", True)]
)
def test_the_cookie_is_kept_from_scripts_and_from_plain_connections(
    world: World, host: str, secure: bool
) -> None:
    """The cookie is HttpOnly, SameSite=Lax, and Secure except on this machine."""
    world.add(Admin(email=ADMIN, password_hash="none"))
    response = world.app.test_client().get(
        "/admin/login", headers={"host": host}, environ_overrides={"SCRIPT_NAME": "/klaus"}
    )
    cookie = response.headers["set-cookie"]
    assert "; HttpOnly" in cookie
    assert "; SameSite=Lax" in cookie
    assert "; Path=/klaus" in cookie
    assert ("; Secure" in cookie) is secure


def test_what_has_no_form_sets_no_cookie(world: World) -> None:
    """Monitors and caches get no cookie; the page of a form does."""
    for path in ("/health", "/metrics", "/shared/style.css", "/admin/exchanges"):
        with Browser(world).get(path) as response:
            assert "set-cookie" not in response.headers
    assert "set-cookie" in Browser(world).get("/admin/setup").headers


def test_reading_pages_takes_no_lock_and_stores_nothing(world: World) -> None:
    """A visitor's reading begins no transaction that would make a writer wait."""
    browser = admin_of(world)
    exchange = world.exchange("2026-12-24 18:00")
    statements: list[str] = []
    with world.app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    Browser(world).read("/admin/login")
    for path in ("", "/new", f"/{exchange}", f"/{exchange}/edit", f"/{exchange}/reminders"):
        browser.read(f"/admin/exchanges{path}")
    assert statements
    assert {each.partition("\n")[0].split()[0] for each in statements} == {"BEGIN", "SELECT"}
    assert not [each for each in statements if each.startswith("BEGIN ")], "a lock for writing"
    assert len(world.rows(BrowserSession)) == 1


def test_every_page_has_the_security_headers(world: World) -> None:
    """Pages, errors and redirects have the headers; static files may be cached."""
    browser = admin_of(world)
    for path in ("/admin/exchanges", "/", "/nowhere", "/static/klaus.css", "/shared/style.css"):
        with browser.get(path) as response:
            assert response.status_code < 400 or path == "/nowhere"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert response.headers["x-content-type-options"] == "nosniff"
        if not path.endswith(".css"):
            assert response.headers["cache-control"] == "no-store"
    too_big = browser.post("/admin/login", email="x" * 70_000)
    assert too_big.status_code == 413


def test_links_respect_the_path_under_which_the_application_is_mounted(world: World) -> None:
    """Under a prefix, every link, form and redirect of a page begins with it."""
    world.add(Admin(email=ADMIN, password_hash="none"))
    client = world.app.test_client()
    page = client.get("/admin/login", environ_overrides={"SCRIPT_NAME": "/klaus"}).text
    assert 'href="/klaus/shared/style.css"' in page
    assert 'href="/klaus/static/icon.svg"' in page
    redirect = client.get("/admin/exchanges", environ_overrides={"SCRIPT_NAME": "/klaus"})
    assert redirect.location == "/klaus/admin/login?next=/klaus/admin/exchanges"


def _cookie(browser: Browser) -> str:
    cookie = browser.client.get_cookie("klaus_session")
    return cookie.value if cookie else ""


def test_an_invitation_has_the_address_that_mails_have(world: World) -> None:
    """It does not depend on the name under which the admin reaches the application."""
    exchange = world.exchange("2026-12-24T18:00")
    admin = admin_of(world)
    admin.post(f"/admin/exchanges/{exchange}/state", move="open")
    page = admin.read(f"/admin/exchanges/{exchange}")
    assert 'value="https://klaus.example.com/exchange/' in page
