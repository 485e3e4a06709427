"""The pages of students and officials, and who may see what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from apps.manageit import accounts
from apps.web.flask_sign_in import FAILED_SIGN_INS
from tests.apps.flask_browser import Browser
from tests.apps.manageit.visitors import admin_of, official_of, student_of, visitor
from tests.apps.manageit.world import TODAY, World, app_on, world_on

YESTERDAY, TOMORROW = TODAY - timedelta(1), TODAY + timedelta(1)


@pytest.fixture
def site(manageit_sqlite_url: str) -> Iterator[World]:
    """The application on SQLite, for pages on which the database has no influence."""
    with world_on(manageit_sqlite_url) as world:
        yield world


# ------------------------------------------------------------------------------------ sign-in


def test_people_sign_in_and_out(site: World) -> None:
    """The address may be written in any case; after the sign-out the pages are closed again."""
    site.do(accounts.add, "Olga", "olga@example.com", "mess-at-noon", "mess_official", "mess1")
    browser = Browser(site.app, "/login")
    assert browser.get("/mess/dashboard").location == "/login?next=/mess/dashboard"
    signed_in = browser.post(
        "/login?next=/mess/waste", email="Olga@Example.com", password="mess-at-noon"
    )
    assert (signed_in.status_code, signed_in.location) == (303, "/mess/waste")
    assert "Olga" not in browser.read("/mess/waste") or browser.read("/mess/dashboard")
    browser = visitor(site)
    browser.post("/login", email="olga@example.com", password="mess-at-noon")
    browser._form = "/"
    assert browser.post("/logout").status_code == 303
    assert browser.get("/mess/dashboard").status_code == 303


def test_a_wrong_password_is_refused_and_many_are_limited(site: World) -> None:
    """401, and after ten attempts 429 with the time to wait, even for the right password."""
    site.do(accounts.add, "Olga", "olga@example.com", "mess-at-noon", "mess_official", "mess1")
    browser, limiter = visitor(site), site.app.extensions["manageit"].limiter
    refused = browser.post("/login", email="olga@example.com", password="guess")
    assert refused.status_code == 401
    assert "Address or password is wrong." in refused.text
    for _ in range(9):
        limiter.take(FAILED_SIGN_INS, "127.0.0.1")
    limited = browser.post("/login", email="olga@example.com", password="mess-at-noon")
    assert limited.status_code == 429
    assert int(limited.headers["Retry-After"]) == 900
    site.forward(minutes=16)
    assert browser.post("/login", email="olga@example.com", password="mess-at-noon").location == "/"


def test_signing_in_leads_to_no_other_site(site: World) -> None:
    site.do(accounts.add, "Olga", "olga@example.com", "mess-at-noon", "mess_official", "mess1")
    browser = visitor(site)
    fields = {"email": "olga@example.com", "password": "mess-at-noon"}
    assert browser.post("/login?next=//evil.example", fields).location == "/"


def test_a_form_of_another_site_is_refused(site: World) -> None:
    """Without the token of a page nothing is changed, neither by forms nor by programs."""
    browser = official_of(site)
    for path in ("/mess/waste", "/login", "/logout"):
        assert browser.client.post(path, data={"floor": "first"}).status_code == 403
    student = student_of(site)
    refused = student.client.post("/api/student/feedback", json={"meal": "Lunch"})
    assert refused.status_code == 403
    assert refused.json is not None
    assert "another site" in refused.json["detail"]


def test_14_officials_see_their_own_mess_and_students_none(site: World) -> None:
    """403 for the other mess, on the page and in JSON; 403 for students, 401 for strangers."""
    site.waste("60", mess="mess2")
    site.generate()
    official, student = official_of(site, "mess1"), student_of(site)
    for path in ("/mess/dashboard?mess=mess2", "/mess/api/alerts?mess=mess2"):
        assert official.get(path).status_code == 403
    for mess in ("mess1", "mess2"):
        assert student.get(f"/mess/api/alerts?mess={mess}").status_code == 403
        assert student.get(f"/mess/dashboard?mess={mess}").status_code == 403
    assert visitor(site).get("/mess/api/alerts").status_code == 401
    assert official.get("/admin/dashboard").status_code == 403
    assert admin_of(site).get("/student/menu").status_code == 403


# ----------------------------------------------------------------------------------- students


def test_students_see_the_menu_of_a_day(site: World) -> None:
    """Dated items replace the regular ones of their meal; extras have their prices."""
    for meal, items in (("Lunch", "Rice, Dal"), ("Dinner", "Roti, Paneer")):
        site.insert("regular_menu", mess_name="mess1", weekday=0, meal=meal, items=items)
    site.dated(TODAY, "Festival thali")
    site.non_veg(TODAY)
    student = student_of(site)
    page = student.read("/student/menu")
    for text in ("Festival thali", "Paneer", "Chicken curry", "80.5"):
        assert text in page
    assert "Dal" not in page
    assert "Festival thali" not in student.read(f"/student/menu?date={TOMORROW}")
    assert "Dal" in student.read(f"/student/menu?date={TODAY + timedelta(7)}")
    for wrong in ("yesterday", "2026-02-30", "0001-01-01", "9999-12-31"):
        assert student.get(f"/student/menu?date={wrong}").status_code == 422
    assert student.get("/student/menu?mess=mess9").status_code == 422


def test_feedback_counts_once_for_each_meal_and_day(world: World) -> None:
    """A second rating is refused with 409; one that is not 1 to 5 with 422."""
    student = student_of(world)
    fields = {"mess": "mess1", "meal": "Lunch", "rating": "2", "comment": "cold <b>soup</b>"}
    assert student.post("/student/feedback", fields).status_code == 303
    assert "You have rated it 2 of 5." in student.read("/student/menu")
    again = student.post("/student/feedback", fields)
    assert again.status_code == 409
    assert "You have rated lunch today already." in again.text
    for wrong in ({"rating": "6"}, {"rating": ""}, {"meal": "Supper"}, {"mess": "mess9"}):
        refused = student.post("/student/feedback", {**fields, "meal": "Dinner", **wrong})
        assert refused.status_code == 422, wrong
    assert [row["rating"] for row in world.rows("feedback")] == [2]


def test_programs_give_feedback_in_json(site: World) -> None:
    student = student_of(site)
    body = {"mess": "mess1", "meal": "Lunch", "rating": 4, "comment": "good"}
    assert student.call("POST", "/api/student/feedback", body).status_code == 201
    repeated = student.call("POST", "/api/student/feedback", body)
    assert (repeated.status_code, repeated.mimetype) == (409, "application/problem+json")
    wrong = student.call("POST", "/api/student/feedback", {**body, "rating": 0})
    assert wrong.status_code == 422
    assert wrong.get_json(force=True)["detail"] == "Choose a rating from 1 to 5."
    assert student.get("/api/student/menu").get_json()["mess"] == "mess1"


def test_a_body_that_cannot_be_a_form_is_refused(site: World) -> None:
    """Neither what cannot be stored nor what no field can hold is an error of the server."""
    student = student_of(site)
    body = {"mess": "mess1", "meal": "Lunch", "rating": 4}
    for comment in (["good"], {"good": True}, "\ud800"):
        refused = student.call("POST", "/api/student/feedback", {**body, "comment": comment})
        assert refused.status_code == 422, comment
    deep = student.client.post(
        "/api/student/feedback", data="[" * 30_000, content_type="application/json",
        headers={"x-csrf-token": student.token()},
    )  # fmt: skip
    assert deep.status_code == 422
    assert site.rows("feedback") == []


# ---------------------------------------------------------------------------------- officials


def test_21_before_the_first_generation_the_dashboard_says_so(site: World) -> None:
    """Never generated is not the same as no alerts, on the page and in JSON."""
    site.execute("UPDATE messes SET alerts_generated_at = NULL")
    official = official_of(site)
    page = official.read("/mess/dashboard")
    assert "Alerts have never been generated" in page
    assert "There are no alerts." not in page
    assert official.get("/mess/api/alerts").get_json() == {
        "mess": "mess1", "generated_at": None, "stale": False, "alerts": []
    }  # fmt: skip
    site.generate()
    assert "There are no alerts." in official.read("/mess/dashboard")


def test_programs_read_alerts_in_the_shape_of_the_specification(world: World) -> None:
    world.waste("50.01")
    world.generate()
    assert official_of(world).get("/mess/api/alerts").get_json() == {
        "mess": "mess1",
        "generated_at": "2026-06-15T11:30:00+05:30",
        "stale": False,
        "alerts": [
            {
                "kind": "high_waste", "subject": "first", "value": 50.01,
                "message": "⚠ High waste: 50.01 Kg on first floor.",
                "first_seen_at": "2026-06-15T11:30:00+05:30",
            }
        ],
    }  # fmt: skip


def test_10_alerts_that_could_not_be_replaced_are_marked(site: World) -> None:
    """The page keeps showing them, and says that they may be out of date."""
    site.waste("60")
    site.generate()
    official = official_of(site)
    assert "may be out of date" not in official.read("/mess/dashboard")
    site.execute("UPDATE messes SET alerts_failed_at = %s WHERE name = 'mess1'", site.clock.now())
    page = official.read("/mess/dashboard")
    assert "may be out of date" in page
    assert "High waste: 60.00 Kg" in page
    assert official.get("/mess/api/alerts").get_json()["stale"] is True
    assert official_of(site, "mess2").get("/mess/api/alerts").get_json()["stale"] is False


def test_11_a_resolved_alert_leaves_the_dashboard(site: World) -> None:
    """It can no longer be acknowledged (409), and its row stays."""
    site.waste("60")
    site.generate()
    official = official_of(site)
    (alert,) = site.rows("mess_alerts")
    assert "High waste" in official.read("/mess/dashboard")
    site.waste("1")
    site.generate()
    assert "High waste" not in official.read("/mess/dashboard")
    path = f"/mess/alerts/{alert['id']}/acknowledge"
    assert official.post(path).status_code == 409
    assert len(site.rows("mess_alerts")) == 1


def test_12_two_processes_show_the_same_alerts(site: World, manageit_sqlite_url: str) -> None:
    """So does one that has been started anew."""
    site.waste("60")
    site.generate()
    first = official_of(site)
    with app_on(manageit_sqlite_url, site.clock) as other:
        second = visitor(other, site.rows("users")[-1]["id"])
        assert first.get("/mess/api/alerts").json == second.get("/mess/api/alerts").json
        assert "High waste" in second.read("/mess/dashboard")


def test_officials_acknowledge_alerts_of_their_own_mess(site: World) -> None:
    """204 for programs, the page for people; 404 for alerts of another mess."""
    site.waste("60")
    site.waste("60", floor="second")
    site.generate()
    one, other = site.rows("mess_alerts")
    official = official_of(site)
    assert official.call("POST", f"/mess/alerts/{one['id']}/acknowledge").status_code == 204
    assert official.post(f"/mess/alerts/{other['id']}/acknowledge").location == "/mess/dashboard"
    assert official.read("/mess/dashboard").count("· seen") == 2
    elsewhere = official_of(site, "mess2")
    assert elsewhere.post(f"/mess/alerts/{one['id']}/acknowledge").status_code == 404
    assert official.post("/mess/alerts/999/acknowledge").status_code == 404


def test_officials_record_waste(world: World) -> None:
    """A negative amount and a date that has not come are refused; a second record replaces."""
    official = official_of(world)
    fields = {"floor": "first", "waste_date": str(TODAY), "total_waste": "12.5", "meal": ""}
    for wrong in (
        {"total_waste": "-1"}, {"total_waste": "a lot"}, {"total_waste": "NaN"},
        {"total_waste": "sNaN"}, {"total_waste": "1e999999"}, {"total_waste": "100000"},
        {"waste_date": str(TOMORROW)}, {"waste_date": "today"}, {"floor": " "},
    ):  # fmt: skip
        assert official.post("/mess/waste", {**fields, **wrong}).status_code == 422, wrong
    for kg in ("1e-999999999", "13.254"):
        assert official.post("/mess/waste", fields, total_waste=kg).status_code == 303
    (row,) = world.rows("waste_summary")
    assert (row["mess_name"], float(row["total_waste"])) == ("mess1", 13.25)
    assert "13.25" in official.read("/mess/waste")


def test_officials_change_the_menu_of_days_to_come(world: World) -> None:
    """Entries are for today or later; students see them; they can be removed again."""
    official, student = official_of(world), student_of(world)
    dated = {"meal": "Lunch", "item_name": "Thali", "menu_date": str(TOMORROW)}
    extra = {"meal": "Lunch", "item_name": "Fish", "price": "95", "menu_date": str(TOMORROW)}
    for path, fields in (("/mess/menu/temporary", dated), ("/mess/menu/non-veg", extra)):
        passed = official.post(path, fields, menu_date=str(YESTERDAY))
        assert passed.status_code == 422
        assert "This day has passed" in passed.text
        assert official.post(path, fields).status_code == 303
        assert fields["item_name"] in student.read(f"/student/menu?date={TOMORROW}&mess=mess1")
    assert official.post("/mess/menu/non-veg", extra, item_name="Mutton").status_code == 303
    assert len(world.rows("non_veg_menu_main")) == 1
    official.post("/mess/menu/temporary", dated)
    assert "is on that menu already" in official.read("/mess/menu/temporary")
    entry, item = world.rows("temporary_menu")[0]["id"], world.rows("non_veg_menu_items")[0]
    for path in (
        f"/mess/menu/temporary/{entry}/remove", f"/mess/menu/non-veg/{item['id']}/remove"
    ):  # fmt: skip
        assert official_of(world, "mess2").post(path).status_code == 404
        assert official.post(path).status_code == 303
    assert "Thali" not in official.read("/mess/menu/temporary")


def test_the_dashboard_shows_what_alerts_are_calculated_from(site: World) -> None:
    """Seven days by floor and by meal, each with a table; an older day is not in them."""
    site.waste("60.5", floor="ground")
    site.waste("77", floor="attic", day=TODAY - timedelta(7))
    for rating in (2, 3):
        site.feedback(rating)
    page = official_of(site).read("/mess/dashboard")
    assert "60.5 Kg in all" in page
    assert "2.5 of 5 on average" in page
    assert "attic" not in page
    assert page.count('<th scope="row">') == 14
