"""The pages of exchanges, for admins."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_login import login_required
from sqlalchemy import func, select

from apps.sneaky_klaus import exchanges as service
from apps.sneaky_klaus import participants
from apps.sneaky_klaus.database import db, transaction
from apps.sneaky_klaus.exchanges import NotPossible
from apps.sneaky_klaus.mailing import link_to
from apps.sneaky_klaus.models import Exchange, Exclusion, Participant
from apps.sneaky_klaus.pages.forms import ExchangeForm, RemindersForm
from apps.sneaky_klaus.pages.reminders import planned_reminders
from apps.sneaky_klaus.services import services

exchanges = Blueprint("exchanges", __name__, url_prefix="/admin/exchanges")

_DONE = {
    "open": "The registration is open.",
    "close": "The registration is closed.",
    "unmatch": "The matches were taken back; nobody is reminded.",
    "complete": "The exchange is completed.",
}


@exchanges.before_request
@login_required
def require_admin() -> None:
    """Let admins in only."""


@exchanges.get("")
def index() -> Any:
    """List the exchanges, the next one first."""
    counting = (
        select(Participant.exchange_id, func.count())
        .where(Participant.withdrawn_at.is_(None))
        .group_by(Participant.exchange_id)
    )
    found = db.session.scalars(select(Exchange).order_by(Exchange.exchange_date, Exchange.id)).all()
    counts = {row[0]: row[1] for row in db.session.execute(counting)}
    return _page("exchanges.html", exchanges=found, counts=counts)


@exchanges.route("/new", methods=["GET", "POST"])
def new() -> Any:
    """Create an exchange."""
    form = ExchangeForm()
    if not form.validate_on_submit():
        return _page("exchange_form.html", _status(form), form=form, exchange=None)
    with transaction():
        made = service.create(
            form.name.data, form.event, form.timezone.data, form.description.data or ""
        )
        exchange_id = made.id
    flash("The exchange was created. Open its registration when you want to invite people.")
    return _go(exchange_id)


@exchanges.get("/<int:exchange_id>")
def show(exchange_id: int) -> Any:
    """Show an exchange."""
    return _show(exchange_id)


@exchanges.route("/<int:exchange_id>/edit", methods=["GET", "POST"])
def edit(exchange_id: int) -> Any:
    """Change an exchange; its reminders follow."""
    exchange = _find(exchange_id)
    form = ExchangeForm.of(exchange)
    if not form.validate_on_submit():
        return _page("exchange_form.html", _status(form), form=form, exchange=exchange)
    with transaction():
        service.edit(
            exchange, name=form.name.data, description=form.description.data or "",
            exchange_date=form.event, timezone=form.timezone.data,
        )  # fmt: skip
    flash("The exchange was changed.")
    return _go(exchange_id)


@exchanges.route("/<int:exchange_id>/delete", methods=["GET", "POST"])
def delete(exchange_id: int) -> Any:
    """Ask whether an exchange is to be deleted, and delete it."""
    exchange = _find(exchange_id)
    if request.method != "POST":
        people = len(service.active_participants(exchange))
        return _page("exchange_delete.html", exchange=exchange, people=people)
    with transaction():
        service.delete_exchange(exchange)
    flash("The exchange was deleted.")
    return redirect(url_for("exchanges.index"), 303)


@exchanges.post("/<int:exchange_id>/state")
def move(exchange_id: int) -> Any:
    """Open or close the registration, take the matches back, or complete an exchange."""
    wanted: Any = request.form.get("move", "")
    if wanted not in _DONE:
        abort(422, f"Choose one of {', '.join(_DONE)}.")
    return _change(exchange_id, _DONE[wanted], lambda each: service.move(each, wanted))


@exchanges.post("/<int:exchange_id>/match")
def match(exchange_id: int) -> Any:
    """Match the participants, and tell each of them."""
    done = "Everybody was matched, and is told by e-mail whom to give to."
    return _change(exchange_id, done, service.match)


@exchanges.post("/<int:exchange_id>/exclusions")
def exclude(exchange_id: int) -> Any:
    """Keep two participants from being matched with each other."""
    one, other = (request.form.get(name, 0, int) for name in ("one", "other"))
    done = "These two will not be matched with each other."
    return _change(exchange_id, done, lambda each: participants.exclude(each, one, other))


@exchanges.post("/<int:exchange_id>/exclusions/<int:one>/<int:other>/remove")
def include(exchange_id: int, one: int, other: int) -> Any:
    """Remove an exclusion."""
    with transaction():
        found = db.session.get(Exclusion, (exchange_id, one, other)) or abort(404)
        db.session.delete(found)
    flash("The exclusion was removed.")
    return _go(exchange_id)


@exchanges.route("/<int:exchange_id>/reminders", methods=["GET", "POST"])
def reminders(exchange_id: int) -> Any:
    """Show when an exchange's participants are reminded, and change the days."""
    exchange = _find(exchange_id)
    form = RemindersForm(reminder_days=", ".join(map(str, exchange.reminder_days)))
    if not form.validate_on_submit():
        planned = planned_reminders(exchange)
        return _page(
            "reminders.html", _status(form), form=form, exchange=exchange, reminders=planned
        )
    with transaction():
        service.edit(exchange, reminder_days=form.days)
    flash("The reminders were changed.")
    return redirect(url_for("exchanges.reminders", exchange_id=exchange_id), 303)


def _find(exchange_id: int) -> Exchange:
    """Return an exchange, locked for the request if it is to be changed."""
    found = db.session.get(Exchange, exchange_id, with_for_update=request.method == "POST")
    return found or abort(404, "This exchange does not exist.")


def _change(exchange_id: int, done: str, change: Any) -> Any:
    """Change an exchange, and show it; with the reason if it is not possible."""
    try:
        with transaction():
            change(_find(exchange_id))
    except NotPossible as error:
        return _show(exchange_id, fault=str(error))
    flash(done)
    return _go(exchange_id)


def _show(exchange_id: int, fault: str | None = None) -> Any:
    exchange = _find(exchange_id)
    names = {person.id: person.name for person in exchange.participants}
    excluded = db.session.scalars(select(Exclusion).filter_by(exchange_id=exchange_id)).all()
    return _page(
        "exchange.html", 409 if fault else 200, exchange=exchange, fault=fault, names=names,
        excluded=excluded, moves=service.possible_moves(exchange),
        active=service.active_participants(exchange), reminders=planned_reminders(exchange),
        invitation=link_to(f"exchange/{exchange.slug}", "register"),
    )  # fmt: skip


def _page(template: str, status: int = 200, **context: Any) -> Any:
    page = render_template(template, now=services().clock.now(), **context)
    return page, status


def _status(form: Any) -> int:
    return 422 if form.errors else 200


def _go(exchange_id: int) -> Any:
    return redirect(url_for("exchanges.show", exchange_id=exchange_id), 303)
