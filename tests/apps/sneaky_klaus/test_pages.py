"""The pages of exchanges and of their participants."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.sneaky_klaus.models import Exchange, Exclusion, Participant
from tests.apps.sneaky_klaus.browser import Browser, admin_of
from tests.apps.sneaky_klaus.world import World, world_on

PARTY = {
    "name": "Office party", "description": "At noon.", "date": "2026-12-24", "time": "18:00",
    "timezone": "America/New_York",
}  # fmt: skip


def made(browser: Browser, **changes: Any) -> int:
    """An exchange that the admin made; returns its id."""
    response = browser.post("/admin/exchanges/new", {**PARTY, **changes})
    assert response.status_code == 303, response.text
    return int(response.location.rpartition("/")[2])


def planned(page: str) -> list[str]:
    """The texts of the reminders on a page."""
    rows = re.findall(r'<li data-state="\w+">(.*?)</li>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]


def test_an_exchange_is_entered_in_the_time_of_its_zone(world: World) -> None:
    """The date is stored as an instant, and shown as it was entered."""
    browser = admin_of(world)
    exchange = world.get(Exchange, made(browser))
    assert exchange is not None
    assert exchange.exchange_date == datetime(2026, 12, 24, 23, tzinfo=UTC)
    page = browser.read(f"/admin/exchanges/{exchange.id}")
    assert "Thursday, 24 Dec 2026, 18:00" in page
    form = browser.read(f"/admin/exchanges/{exchange.id}/edit")
    assert 'value="2026-12-24"' in form
    assert 'value="18:00"' in form
    assert '<option selected value="America/New_York">' in form


@pytest.mark.parametrize(
    ("date", "time", "instant"),
    [("2027-03-14", "02:30", "2027-03-14 07:30"), ("2027-11-07", "01:30", "2027-11-07 05:30")],
    ids=["skipped", "repeated"],
)
def test_a_time_that_clocks_skip_or_repeat_is_understood_as_in_triggers(
    world: World, date: str, time: str, instant: str
) -> None:
    """A time in a gap moves forward by its length; of two equal ones the first is meant."""
    exchange = world.get(Exchange, made(admin_of(world), date=date, time=time))
    assert exchange is not None
    assert exchange.exchange_date == datetime.fromisoformat(instant).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("date", "2026-10-31", "This date has passed; choose one in the future."),
        ("date", "", "Choose a date."),
        ("date", "31.12.2026", "Not a valid date value."),
        ("time", "25:00", "Not a valid time value."),
        ("timezone", "America/Gotham", "This time zone does not exist."),
        ("timezone", "", "This time zone does not exist."),
        ("name", "  ", "Give the exchange a name."),
    ],
)
def test_an_exchange_that_is_not_valid_is_refused_at_its_field(
    world: World, field: str, value: str, message: str
) -> None:
    """A wrong field is a 422, and the message is attached to that field."""
    response = admin_of(world).post("/admin/exchanges/new", {**PARTY, field: value})
    assert response.status_code == 422
    assert f'<span class="wrong" id="{field}-wrong">{message}</span>' in response.text
    assert f'aria-describedby="{field}-wrong' in response.text
    assert world.rows(Exchange) == []


def test_a_past_exchange_can_be_renamed_but_not_moved_into_the_past(world: World) -> None:
    """The stored date of a past exchange is accepted with another name, and no other past date."""
    exchange = made(admin_of(world))
    world.set_clock("2026-12-25 12:00")
    browser = admin_of(world)
    edit = f"/admin/exchanges/{exchange}/edit"
    assert browser.post(edit, {**PARTY, "name": "Last year"}).status_code == 303
    assert browser.post(edit, {**PARTY, "date": "2026-12-23"}).status_code == 422
    stored = world.get(Exchange, exchange)
    assert stored is not None
    assert stored.name == "Last year"


def test_unknown_exchanges_are_not_found(world: World) -> None:
    """Every path of an exchange that does not exist is a 404."""
    browser = admin_of(world)
    for path in ("", "/edit", "/delete", "/reminders"):
        assert browser.get(f"/admin/exchanges/7{path}").status_code == 404
    for path in ("/edit", "/delete", "/reminders", "/match", "/exclusions"):
        assert browser.post(f"/admin/exchanges/7{path}").status_code == 404
    assert browser.post("/admin/exchanges/7/state", move="open").status_code == 404
    for path in ("/admin/exchanges/", "/me/"):
        assert browser.get(f"{path}{10**30}").status_code == 404


def test_only_admins_see_and_change_exchanges(world: World) -> None:
    """A visitor is asked to sign in; a visitor's form is refused."""
    exchange = world.exchange("2026-12-24 18:00")
    admin_of(world)
    visitor = Browser(world)
    for path in ("", "/new", f"/{exchange}", f"/{exchange}/edit", f"/{exchange}/reminders"):
        assert visitor.get(f"/admin/exchanges{path}").location.startswith("/admin/login")
    for path in ("/new", f"/{exchange}/match", f"/{exchange}/state", f"/{exchange}/delete"):
        assert visitor.post(f"/admin/exchanges{path}").status_code == 401


def test_an_illegal_transition_is_a_conflict(world: World) -> None:
    """What the state does not allow is a 409, which says why; the state stays as it is."""
    browser = admin_of(world)
    exchange = made(browser)
    for path, fields in (("state", {"move": "close"}), ("match", {})):
        refused = browser.post(f"/admin/exchanges/{exchange}/{path}", fields)
        assert refused.status_code == 409
        assert "the state is “draft”" in refused.text
    assert browser.post(f"/admin/exchanges/{exchange}/state", move="explode").status_code == 422
    assert browser.post(f"/admin/exchanges/{exchange}/state", move="open").status_code == 303
    browser.post(f"/admin/exchanges/{exchange}/state", move="close")
    few = browser.post(f"/admin/exchanges/{exchange}/match")
    assert few.status_code == 409
    assert "At least 3 participants are needed; there are 0." in few.text


def test_exclusions_are_honoured_and_can_be_removed(world: World) -> None:
    """With exclusions that leave no match, matching is a 409; without them it succeeds."""
    browser = admin_of(world)
    exchange = world.exchange("2026-12-24 18:00")
    path = f"/admin/exchanges/{exchange}"
    one, two, three = (person.id for person in world.participants(exchange))
    assert browser.post(f"{path}/exclusions", one=one, other=one).status_code == 409
    browser.post(f"{path}/exclusions", one=two, other=one)
    assert [(each.participant_a, each.participant_b) for each in world.rows(Exclusion)] == [
        (one, two)
    ]
    impossible = browser.post(f"{path}/match")
    assert (impossible.status_code, "no way to match" in impossible.text) == (409, True)
    assert browser.post(f"{path}/exclusions/{one}/{three}/remove").status_code == 404
    assert browser.post(f"{path}/exclusions/{one}/{two}/remove").status_code == 303
    assert browser.post(f"{path}/match").status_code == 303
    assert sorted(world.receivers(exchange)) == [one, two, three]


def test_an_exchange_is_deleted_after_a_question(world: World) -> None:
    """The page that asks deletes nothing; its form does."""
    browser = admin_of(world)
    exchange = world.matched("2026-12-24 18:00")
    assert "Its 3 participants" in browser.read(f"/admin/exchanges/{exchange}/delete")
    assert browser.client.head(f"/admin/exchanges/{exchange}/delete").status_code == 200
    assert world.get(Exchange, exchange)
    assert browser.post(f"/admin/exchanges/{exchange}/delete").location == "/admin/exchanges"
    assert world.get(Exchange, exchange) is None
    assert world.jobs_of(exchange) == {}


def test_03_the_page_shows_that_only_the_last_reminder_is_planned(world: World) -> None:
    """Two days before an exchange, the page shows two reminders as passed and one as planned."""
    browser = admin_of(world)
    exchange = world.matched("2026-11-03 18:00")
    assert planned(browser.read(f"/admin/exchanges/{exchange}")) == [
        "7 days before Tuesday, 27 Oct 2026, 18:00 Passed",
        "3 days before Saturday, 31 Oct 2026, 18:00 Passed",
        "1 day before Monday, 2 Nov 2026, 18:00 Planned",
    ]


@pytest.mark.parametrize(
    ("event", "times"),
    [
        ("2026-12-25 18:00", ["Friday, 18 Dec", "Tuesday, 22 Dec", "Thursday, 24 Dec"]),
        ("2026-11-04 18:00", ["Wednesday, 28 Oct", "Sunday, 1 Nov", "Tuesday, 3 Nov"]),
    ],
    ids=["04", "05"],
)
def test_04_05_the_reminders_page_shows_the_local_time_of_the_exchange(
    migrated_url: str, event: str, times: list[str]
) -> None:
    """Reminders are at 18:00 in New York, on both sides of the change of the clocks."""
    with world_on(migrated_url, "2026-10-20 12:00") as world:
        browser = admin_of(world)
        exchange = world.matched(event)
        shown = planned(browser.read(f"/admin/exchanges/{exchange}/reminders"))
        assert shown == [
            f"{days} before {time} 2026, 18:00 Planned"
            for days, time in zip(("7 days", "3 days", "1 day"), times, strict=True)
        ]


def test_a_completed_exchange_promises_no_reminders(world: World) -> None:
    """What was not sent before an exchange was completed is not shown as yet to come."""
    exchange = world.matched("2026-12-24 18:00")
    world.move(exchange, "complete")
    shown = planned(admin_of(world).read(f"/admin/exchanges/{exchange}"))
    assert len(shown) == 3
    assert all(row.endswith("Not sent") for row in shown)


def test_06_other_days_replace_the_reminders_of_this_exchange_only(world: World) -> None:
    """The page stores other days, and plans for them; those of another exchange stay."""
    browser = admin_of(world)
    exchange, other = (world.matched("2026-12-24 18:00") for _ in range(2))
    before = world.jobs_of(other)
    path = f"/admin/exchanges/{exchange}/reminders"
    assert browser.post(path, reminder_days="2, 14").status_code == 303
    assert [row.split(" before")[0] for row in planned(browser.read(path))] == ["14 days", "2 days"]
    assert sorted(world.jobs_of(exchange)) == [2, 14]
    assert world.jobs_of(other) == before
    assert browser.post(path, reminder_days="").status_code == 303
    assert world.jobs_of(exchange) == {}


@pytest.mark.parametrize(
    "days", ["0", "366", "-1", "3, 3", "seven", "1.5", ",".join(map(str, range(1, 12)))]
)
def test_days_that_are_not_valid_are_refused(world: World, days: str) -> None:
    """Days outside of 1 to 365, repeated ones, more than ten, and other text are a 422."""
    browser = admin_of(world)
    exchange = world.matched("2026-12-24 18:00")
    refused = browser.post(f"/admin/exchanges/{exchange}/reminders", reminder_days=days)
    assert refused.status_code == 422
    assert 'id="reminder_days-wrong"' in refused.text
    assert sorted(world.jobs_of(exchange)) == [1, 3, 7]


def test_26_a_change_on_the_page_moves_the_reminders_and_taking_back_removes_them(
    world: World,
) -> None:
    """Another date or zone moves the reminder jobs; taking the matches back removes them."""
    browser = admin_of(world)
    exchange = world.matched("2026-12-24 18:00")
    path = f"/admin/exchanges/{exchange}"
    browser.post(f"{path}/edit", {**PARTY, "timezone": "Europe/Berlin", "date": "2026-12-20"})
    assert world.jobs_of(exchange)[1] == datetime(2026, 12, 19, 17, tzinfo=UTC)
    browser.post(f"{path}/state", move="unmatch")
    assert world.jobs_of(exchange) == {}
    browser.post(f"{path}/match")
    assert sorted(world.jobs_of(exchange)) == [1, 3, 7]
    browser.post(f"{path}/state", move="complete")
    assert world.jobs_of(exchange) == {}


# ------------------------------------------------------------------------------- participants


def open_exchange(world: World) -> Exchange:
    """An exchange whose registration is open."""
    exchange = world.exchange("2026-12-24 18:00", people=0)
    world.move(exchange, "open")
    stored = world.get(Exchange, exchange)
    assert stored is not None
    return stored


def link_in(world: World, to: str) -> str:
    """The path of the link in the mail that was sent to an address."""
    [text] = [sent.mail.text for sent in world.mails() if sent.to == to]
    found_links = re.findall(r"https://klaus\.example\.com(/\S+)", text)
    return str(found_links[0])


def joined(world: World, exchange: Exchange, email: str = "ana@example.com") -> Browser:
    """The browser of a participant who has registered and signed in."""
    browser = Browser(world)
    browser.post(f"/exchange/{exchange.slug}/register", name="Ana", email=email)
    assert browser.post(link_in(world, email)).location == f"/me/{exchange.id}"
    return browser


def test_registering_answers_the_same_whether_or_not_the_address_is_known(world: World) -> None:
    """The second registration of an address looks like the first, adds nobody, and sends a link."""
    exchange = open_exchange(world)
    path = f"/exchange/{exchange.slug}/register"
    answers = []
    for name in ("Ana", "Mallory"):
        response = Browser(world).post(path, name=name, email="Ana@Example.com", gift_ideas="Tea")
        answers.append((response.status_code, response.location))
        assert link_in(world, "ana@example.com").startswith("/auth/magic/")
    assert answers == [(303, f"/exchange/{exchange.slug}/sent")] * 2
    [ana] = world.rows(Participant)
    assert (ana.name, ana.email, ana.gift_ideas) == ("Ana", "ana@example.com", "Tea")


def test_a_closed_registration_answers_the_same_to_everybody(world: World) -> None:
    """After the close, registering is a 409 for known and unknown addresses; links are sent."""
    exchange = open_exchange(world)
    path = f"/exchange/{exchange.slug}"
    joined(world, exchange)
    world.move(exchange.id, "close")
    for email in ("ana@example.com", "eve@example.com"):
        refused = Browser(world).post(f"{path}/register", name="Ana", email=email)
        assert (refused.status_code, "is closed" in refused.text) == (409, True)
    assert world.mails() == []
    for email in ("ana@example.com", "eve@example.com"):
        response = Browser(world).post(f"{path}/link", email=email)
        assert (response.status_code, response.location) == (303, f"{path}/sent")
    assert [sent.to for sent in world.mails()] == ["ana@example.com"]


def test_a_registration_that_is_not_valid_is_refused(world: World) -> None:
    """A missing name and a wrong address are a 422; an unknown exchange is a 404."""
    exchange = open_exchange(world)
    refused = Browser(world).post(f"/exchange/{exchange.slug}/register", name=" ", email="ana@x")
    assert refused.status_code == 422
    assert 'id="name-wrong"' in refused.text
    assert 'id="email-wrong"' in refused.text
    assert world.rows(Participant) == []
    assert Browser(world).get("/exchange/none/register").status_code == 404


@pytest.mark.parametrize("email", ["é@example.com", "a@b.com\nc", "a b@example.com", "a@[::1]"])
def test_an_address_to_which_no_mail_can_be_sent_is_refused(world: World, email: str) -> None:
    """Nobody registers, and is matched, whom no mail reaches."""
    exchange = open_exchange(world)
    path = f"/exchange/{exchange.slug}/register"
    refused = Browser(world).post(path, name="Ana", email=email)
    assert refused.status_code == 422
    assert "This is not a valid e-mail address." in refused.text
    assert world.rows(Participant) == []


def test_names_are_one_line_and_texts_have_no_control_characters(world: World) -> None:
    """Names stand in subjects and in log lines, and PostgreSQL stores no NUL."""
    exchange = open_exchange(world)
    texts = {"name": "Ana\r\nB\x1b\x00.", "gift_ideas": "Tea\x00\r\nor jam"}
    path = f"/exchange/{exchange.slug}/register"
    Browser(world).post(path, texts, email="ana@example.com")
    [ana] = world.rows(Participant)
    assert (ana.name, ana.gift_ideas) == ("Ana B.", "Tea\nor jam")


def test_mails_to_one_address_and_from_one_client_are_limited(world: World) -> None:
    """An address is sent five links in an hour; the sixth request is a 429 for anybody."""
    exchange = open_exchange(world)
    path = f"/exchange/{exchange.slug}/register"
    for client in range(5):
        browser = Browser(world, f"203.0.113.{client}")
        assert browser.post(path, name="Ana", email="ana@example.com").status_code == 303
    limited = Browser(world, "203.0.113.9").post(path, name="Ana", email="ANA@example.com")
    assert limited.status_code == 429
    assert int(limited.headers["Retry-After"]) > 0
    assert "Too many attempts" in limited.text
    assert len(world.mails()) == 5


def test_opening_a_link_does_not_use_it_and_it_signs_in_once(world: World) -> None:
    """A scanner's GET or HEAD leaves the link valid; the button signs in once, within an hour."""
    exchange = open_exchange(world)
    Browser(world).post(f"/exchange/{exchange.slug}/register", name="Ana", email="ana@example.com")
    link = link_in(world, "ana@example.com")
    for _ in range(2):
        assert "Hello Ana" in Browser(world).read(link)
        assert Browser(world).client.head(link).status_code == 200
    browser = Browser(world)
    assert browser.post(link).location == f"/me/{exchange.id}"
    assert 'value="Ana"' in browser.read(f"/me/{exchange.id}")
    assert Browser(world).get(link).status_code == 410
    assert Browser(world).post(link).status_code == 410
    Browser(world).post(f"/exchange/{exchange.slug}/link", email="ana@example.com")
    late = link_in(world, "ana@example.com")
    world.forward(hours=1)
    assert Browser(world).post(late).status_code == 410
    assert Browser(world).get("/auth/magic/invented").status_code == 410


def test_participants_change_what_is_known_of_them(world: World) -> None:
    """Name, gift ideas and reminders are changed on the page; nobody else's are."""
    exchange = open_exchange(world)
    browser = joined(world, exchange)
    path = f"/me/{exchange.id}"
    assert browser.post(path, name="", gift_ideas="Tea").status_code == 422
    assert browser.post(path, name="Anna", gift_ideas="Tea", email="x@x.org").status_code == 303
    [person] = world.rows(Participant)
    assert (person.name, person.gift_ideas, person.email) == ("Anna", "Tea", "ana@example.com")
    assert person.reminder_enabled is False
    browser.post(path, name="Anna", reminder_enabled="y")
    assert world.rows(Participant)[0].reminder_enabled is True


def test_only_the_participant_reaches_the_page(world: World) -> None:
    """Others are asked for their address (403); an exchange that does not exist is a 404."""
    exchange, other = open_exchange(world), open_exchange(world)
    browser = joined(world, exchange)
    assert "Send me a link" in browser.read(f"/me/{other.id}", 403)
    assert browser.read("/me/99", 404)
    assert Browser(world).post(f"/me/{exchange.id}", name="Eve").status_code == 403
    assert Browser(world).post(f"/me/{exchange.id}/withdraw").status_code == 403


def test_a_browser_is_signed_in_to_several_exchanges_beside_the_admin(world: World) -> None:
    """Signing in to another exchange, or the admin's signing out, leaves the others signed in."""
    first, second = open_exchange(world), open_exchange(world)
    browser = admin_of(world)
    for exchange in (first, second):
        browser.post(f"/exchange/{exchange.slug}/register", name="Ana", email="ana@example.com")
        browser.post(link_in(world, "ana@example.com"))
    browser.post("/admin/logout")
    assert browser.get("/admin/exchanges").status_code == 303
    assert browser.read("/").count('href="/me/') == 2
    browser.post(f"/me/{first.id}/sign-out")
    assert browser.get(f"/me/{first.id}").status_code == 403
    assert browser.get(f"/me/{second.id}").status_code == 200


def test_withdrawing_is_possible_until_the_registration_closes(world: World) -> None:
    """Whoever withdraws is out and may join again; after the close it is a 409."""
    exchange = open_exchange(world)
    browser = joined(world, exchange)
    assert "You have withdrawn" in browser.post(f"/me/{exchange.id}/withdraw").text
    assert world.rows(Participant)[0].withdrawn_at == world.clock.now()
    assert browser.get(f"/me/{exchange.id}").status_code == 403
    again = joined(world, exchange)
    world.move(exchange.id, "close")
    late = again.post(f"/me/{exchange.id}/withdraw")
    assert (late.status_code, "can no longer withdraw" in late.text) == (409, True)


def test_after_the_matching_participants_see_whom_they_give_to(world: World) -> None:
    """The page names the receiver and the gift ideas, and not who gives to oneself."""
    exchange = open_exchange(world)
    browser = joined(world, exchange)
    world.people(exchange.id, 3)
    assert "You give a present to" not in browser.read(f"/me/{exchange.id}")
    world.move(exchange.id, "close")
    world.match(exchange.id)
    ana, *others = world.participants(exchange.id)
    receiver = next(each for each in others if each.id == world.receivers(exchange.id)[ana.id])
    world.change(receiver.id, gift_ideas="A <b>red</b> scarf")
    page = browser.read(f"/me/{exchange.id}")
    assert f'<p class="receiver">{receiver.name}</p>' in page
    assert "A &lt;b&gt;red&lt;/b&gt; scarf" in page
    assert not [each for each in others if each is not receiver and each.name in page]


def test_the_link_in_a_reminder_turns_reminders_off_after_a_question(world: World) -> None:
    """Opening the link changes nothing, its button does, and an invented link is a 404."""
    exchange = world.matched("2026-11-04 18:00")
    world.move_to("2026-11-01 23:00")
    mails = world.mails()
    assert len(mails) == 3
    [off] = re.findall(r"https://klaus\.example\.com(/reminders/off/\S+)", mails[0].mail.text)
    browser = Browser(world)
    assert "Turn my reminders off" in browser.read(off)
    assert all(each.reminder_enabled for each in world.participants(exchange))
    assert browser.post(off).location == off
    assert "Your reminders are off" in browser.read(off)
    wanted = {each.email: each.reminder_enabled for each in world.participants(exchange)}
    assert [email for email, on in wanted.items() if not on] == [mails[0].to]
    assert browser.get(f"{off}x").status_code == 404
    shown = planned(admin_of(world).read(f"/admin/exchanges/{exchange}"))
    assert shown[1] == "3 days before Sunday, 1 Nov 2026, 18:00 Sent to 3"
