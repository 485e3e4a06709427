"""The pages of admins: all messes, notices of critical feedback, and daily reports."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask_login import current_user

from apps.manageit import alerts, messes, notices
from apps.manageit import reports as stored
from apps.manageit.pages.accounts import admit, own_mess
from apps.manageit.pages.forms import read_date
from apps.manageit.services import today
from apps.web.flask_api import prefers_page

admin = Blueprint("admin", __name__, url_prefix="/admin")
admin.before_request(admit("admin"))
reports = Blueprint("reports", __name__, url_prefix="/admin/reports")
reports.before_request(admit("admin", "mess_official"))


@admin.get("/dashboard")
def dashboard() -> Any:
    """Show all messes with their open alerts, and the unread notices."""
    boards = [board for row in messes.active() if (board := alerts.board(row["name"]))]
    unread = notices.recent(unread=True)
    return render_template("admin.html", boards=boards, notices=unread[:5], unread=len(unread))


@admin.get("/notifications")
def notifications() -> Any:
    """Show the notices, or only the unread ones."""
    unread = request.args.get("unread", "").lower() in ("1", "true", "yes")
    return render_template("notices.html", notices=notices.recent(unread=unread), unread=unread)


@admin.post("/notifications/<int:notice_id>/read")
def mark_read(notice_id: int) -> Any:
    """Note that an admin has read a notice."""
    if not notices.mark_read(notice_id):
        abort(404, "There is no such notice.")
    if not prefers_page():
        return "", 204
    return redirect(url_for("admin.notifications", unread=request.form.get("unread")), 303)


@reports.get("/<day>")
def report(day: str) -> Any:
    """Show the reports of a day: of all messes to admins, of their own to officials."""
    asked = read_date(day, 404)
    found = stored.of_day(asked, None if current_user.role == "admin" else own_mess())
    page = render_template(
        "report.html", reports=found, day=asked, today=today(), step=timedelta(1)
    )
    return page, 200 if found else 404
