"""The pages of mess officials: alerts, waste and menus of their own mess."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request, url_for
from flask_login import current_user

from apps.manageit import alerts, menus, reports, waste
from apps.manageit.alerts import Board
from apps.manageit.pages import figures
from apps.manageit.pages.accounts import admit, own_mess
from apps.manageit.pages.formatting import iso
from apps.manageit.pages.forms import DatedForm, NonVegForm, WasteForm
from apps.web.flask_api import prefers_page, respond_in_json

mess = Blueprint("mess", __name__, url_prefix="/mess")
mess_api = Blueprint("mess_api", __name__, url_prefix="/mess/api")
respond_in_json(mess_api)
for blueprint in (mess, mess_api):
    blueprint.before_request(admit("mess_official"))


@mess.get("/dashboard")
def dashboard() -> Any:
    """Show the alerts of the mess, and what they are calculated from."""
    return render_template(
        "dashboard.html", board=_board(), waste=figures.waste(own_mess()),
        feedback=figures.feedback(own_mess()), reported=reports.latest_day(own_mess()),
    )  # fmt: skip


@mess_api.get("/alerts")
def alerts_as_json() -> Any:
    """Return the alerts of the mess."""
    board = _board()
    return jsonify(
        mess=board.mess["name"],
        generated_at=iso(board.mess["alerts_generated_at"]),
        stale=board.stale,
        alerts=[
            {
                "kind": row["kind"], "subject": row["subject"], "value": float(row["value"]),
                "message": row["message"], "first_seen_at": iso(row["first_seen_at"]),
            }
            for row in board.alerts
        ],
    )  # fmt: skip


@mess.post("/alerts/<int:alert_id>/acknowledge")
def acknowledge(alert_id: int) -> Any:
    """Note that the official has seen an alert."""
    done = alerts.acknowledge(alert_id, own_mess(), current_user.id)
    if done == "absent":
        abort(404, "Your mess has no such alert.")
    if done == "resolved":
        abort(409, "This alert has been resolved meanwhile.")
    return redirect(url_for("mess.dashboard"), 303) if prefers_page() else ("", 204)


@mess.route("/menu/temporary", methods=["GET", "POST"])
def dated_menu() -> Any:
    """Show and add items that replace the regular menu on one day."""
    form = DatedForm()
    if not form.validate_on_submit():
        return _page("dated.html", form, entries=menus.dated_entries(own_mess()))
    added = menus.add_dated(
        own_mess(), form.menu_date.data, form.meal.data, form.item_name.data,
        form.category.data or "",
    )  # fmt: skip
    item = form.item_name.data
    flash(f"{item} was added." if added else f"{item} is on that menu already.")
    return redirect(url_for("mess.dated_menu"), 303)


@mess.route("/menu/non-veg", methods=["GET", "POST"])
def non_veg_menu() -> Any:
    """Show and add non-vegetarian extras."""
    form = NonVegForm()
    if not form.validate_on_submit():
        return _page("non_veg.html", form, entries=menus.non_veg_entries(own_mess()))
    item = form.item_name.data
    menus.add_non_veg(own_mess(), form.menu_date.data, form.meal.data, {item: form.price.data})
    flash(f"{item} was added.")
    return redirect(url_for("mess.non_veg_menu"), 303)


@mess.post("/menu/<any(temporary, 'non-veg'):kind>/<int:entry>/remove")
def remove(kind: str, entry: int) -> Any:
    """Remove an item of one day, or a non-vegetarian extra."""
    dated = kind == "temporary"
    if not (menus.remove_dated if dated else menus.remove_non_veg)(own_mess(), entry):
        abort(404, "This entry has been removed already.")
    flash("The entry was removed.")
    return redirect(url_for("mess.dated_menu" if dated else "mess.non_veg_menu"), 303)


@mess.route("/waste", methods=["GET", "POST"])
def record_waste() -> Any:
    """Show and record the waste of each floor."""
    form = WasteForm()
    if not form.validate_on_submit():
        return _page("waste.html", form, entries=waste.recent(own_mess()))
    waste.record(
        own_mess(), form.floor.data, form.total_waste.data, form.waste_date.data,
        form.meal.data or "",
    )  # fmt: skip
    flash(f"The waste of the {form.floor.data} floor was recorded; alerts follow in a minute.")
    return redirect(url_for("mess.record_waste"), 303)


def _board() -> Board:
    return alerts.board(own_mess()) or abort(404, "Your mess does not exist any more.")


def _page(template: str, form: Any, **context: Any) -> Any:
    own_mess()
    page = render_template(template, form=form, **context)
    return page, 422 if request.method == "POST" else 200
