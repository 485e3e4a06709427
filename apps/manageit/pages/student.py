"""The pages of students: menus, and feedback for them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.exceptions import Conflict

from apps.manageit import feedback, menus, messes
from apps.manageit.feedback import AlreadyGiven
from apps.manageit.pages.accounts import admit
from apps.manageit.pages.forms import FeedbackForm, first_error, read_date
from apps.manageit.services import today
from apps.web.flask_api import json_fields, respond_in_json

student = Blueprint("student", __name__, url_prefix="/student")
student_api = Blueprint("student_api", __name__, url_prefix="/api/student")
respond_in_json(student_api)
for blueprint in (student, student_api):
    blueprint.before_request(admit("student"))


@student.get("/menu")
def menu() -> Any:
    """Show the menu of a day."""
    return _menu(_asked_mess(), FeedbackForm(formdata=None))


@student.post("/feedback")
def give_feedback() -> Any:
    """Rate a meal of today."""
    form = FeedbackForm()
    if not form.validate_on_submit():
        return _menu(_usual_mess(), form, 422, first_error(form))
    try:
        _give(form)
    except Conflict as error:
        return _menu(form.mess.data, FeedbackForm(formdata=None), 409, error.description)
    flash(f"Thank you for rating {form.meal.data.lower()}.")
    return redirect(url_for("student.menu", mess=form.mess.data), 303)


@student_api.get("/menu")
def menu_as_json() -> Any:
    """Return the menu of a day."""
    mess, day = _asked_mess(), _asked_day()
    return jsonify(mess=mess, date=day.isoformat(), meals=menus.menu_of(mess, day))


@student_api.post("/feedback")
def give_feedback_as_json() -> Any:
    """Rate a meal of today."""
    form = FeedbackForm(formdata=json_fields())
    if not form.validate_on_submit():
        abort(422, first_error(form))
    _give(form)
    return "", 201


def _give(form: FeedbackForm) -> None:
    comment = form.comment.data or ""
    try:
        feedback.give(current_user.id, form.mess.data, form.meal.data, form.rating.data, comment)
    except AlreadyGiven as error:
        abort(409, str(error))


def _asked_mess() -> str:
    """Return the mess that a query names; default: the usual one."""
    asked = request.args.get("mess") or _usual_mess()
    if asked not in _messes():
        abort(422, f"There is no mess {asked!r}.")
    return asked


def _asked_day() -> date:
    """Return the day that a query names; default: today."""
    asked = request.args.get("date")
    return read_date(asked) if asked else today()


def _usual_mess() -> str:
    """Return the student's own mess, or the first."""
    known = _messes() or abort(404, "There is no mess yet.")
    return current_user.mess if current_user.mess in known else next(iter(known))


def _messes() -> dict[str, str]:
    """Return the messes by name, and how they are shown."""
    return {row["name"]: row["display_name"] for row in messes.active()}


def _menu(mess: str, form: FeedbackForm, status: int = 200, fault: str | None = None) -> Any:
    day = _asked_day()
    page = render_template(
        "menu.html", mess=mess, messes=_messes(), day=day, today=today(), step=timedelta(1),
        meals=menus.menu_of(mess, day), given=feedback.given_by(current_user.id, day),
        form=form, fault=fault,
    )  # fmt: skip
    return page, status
