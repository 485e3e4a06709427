"""The pages of participants: how they join, sign in, and change what is known of them.

A browser may be signed in to several exchanges, besides an admin's account.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for
from itsdangerous import BadSignature
from sqlalchemy import select

from apps.rate_limits import Limit
from apps.sneaky_klaus import magic_links, participants
from apps.sneaky_klaus.database import db, transaction
from apps.sneaky_klaus.exchanges import NotPossible
from apps.sneaky_klaus.mailing import receiver_of
from apps.sneaky_klaus.models import Exchange, Participant
from apps.sneaky_klaus.pages.forms import LinkForm, ProfileForm, RegistrationForm
from apps.sneaky_klaus.services import services
from apps.sneaky_klaus.sessions import renew_session
from apps.web.flask_sign_in import limit, sender

visitors = Blueprint("visitors", __name__)

REGISTRATIONS = Limit("registrations", 20, timedelta(hours=1))
LINKS = Limit("links to sign in", 5, timedelta(hours=1))
_SIGNED_IN = "participants"


# ------------------------------------------------------------------------------------ joining


@visitors.route("/exchange/<slug>/register", methods=["GET", "POST"])
def register(slug: str) -> Any:
    """Let a visitor join an exchange; the answer does not tell whether the address is known."""
    form = RegistrationForm()
    if not form.validate_on_submit():
        return _registration(slug, form, 422 if form.errors else 200)
    _count_mail(slug, form.email.data or "")
    try:
        with transaction():
            participants.register(
                _find(slug), form.name.data, form.email.data or "", form.gift_ideas.data or ""
            )
    except NotPossible:
        return _registration(slug, form, 409)
    return _mail_is_sent(slug)


@visitors.post("/exchange/<slug>/link")
def link(slug: str) -> Any:
    """Send a participant a link to sign in; the answer is the same for an unknown address."""
    form = LinkForm()
    if not form.validate_on_submit():
        return _registration(slug, RegistrationForm(formdata=None), 422, form)
    _count_mail(slug, form.email.data or "")
    with transaction():
        participants.send_link(_find(slug), form.email.data or "")
    return _mail_is_sent(slug)


@visitors.get("/exchange/<slug>/sent")
def sent(slug: str) -> Any:
    """Ask a visitor to look into their mailbox."""
    return render_template("sent.html", exchange=_find(slug))


@visitors.route("/auth/magic/<token>", methods=["GET", "POST"])
def magic(token: str) -> Any:
    """Show a button, because mail scanners open links, too; it signs the participant in."""
    if request.method != "POST":
        found = magic_links.find(token)
        if found is None or not magic_links.is_valid(found):
            abort(410, _USED)
        person = db.session.get_one(Participant, found.participant_id)
        return render_template("magic.html", person=person)
    with transaction():
        person = magic_links.redeem(token) or abort(410, _USED)
        exchange_id, person_id = person.exchange_id, person.id
    session[_SIGNED_IN] = {**session.get(_SIGNED_IN, {}), str(exchange_id): person_id}
    renew_session()
    return redirect(url_for("visitors.me", exchange_id=exchange_id), 303)


_USED = "This link has expired or was used before. Ask for a new one on the exchange's page."


# ------------------------------------------------------------------------------ taking part


@visitors.route("/me/<int:exchange_id>", methods=["GET", "POST"])
def me(exchange_id: int) -> Any:
    """Show participants what is known of them, and whom they give to; let them change it."""
    person = _signed_in(exchange_id)
    if person is None:
        exchange = db.session.get(Exchange, exchange_id) or abort(404, _NONE)
        return render_template("sign_in_first.html", exchange=exchange, form=LinkForm()), 403
    form = ProfileForm(obj=person)
    if not form.validate_on_submit():
        return _profile(person, form, 422 if form.errors else 200)
    with transaction():
        form.populate_obj(person)
    flash("Your changes were saved.")
    return redirect(url_for("visitors.me", exchange_id=exchange_id), 303)


@visitors.post("/me/<int:exchange_id>/withdraw")
def withdraw(exchange_id: int) -> Any:
    """Take a participant out of an exchange."""
    person = _signed_in(exchange_id) or abort(403, "Sign in first.")
    try:
        with transaction():
            participants.withdraw(person)
    except NotPossible as error:
        return _profile(person, ProfileForm(formdata=None, obj=person), 409, str(error))
    _sign_out(exchange_id)
    return render_template("withdrawn.html", exchange=db.session.get_one(Exchange, exchange_id))


@visitors.post("/me/<int:exchange_id>/sign-out")
def sign_out(exchange_id: int) -> Any:
    """Sign a participant out of one exchange."""
    _sign_out(exchange_id)
    return redirect(url_for("home"), 303)


@visitors.route("/reminders/off/<signed>", methods=["GET", "POST"])
def reminders_off(signed: str) -> Any:
    """Turn the reminders of a participant off, by the link in a reminder."""
    try:
        person = db.session.get(Participant, services().links.loads(signed))
    except BadSignature:
        person = None
    if person is None or person.withdrawn_at is not None:
        abort(404, "This link belongs to nobody who takes part in an exchange.")
    if request.method == "POST":
        with transaction():
            person.reminder_enabled = False
        return redirect(url_for("visitors.reminders_off", signed=signed), 303)
    return render_template("reminders_off.html", person=person)


def my_exchanges() -> Sequence[Exchange]:
    """Return the exchanges to which this browser is signed in."""
    mine = Participant.id.in_(session.get(_SIGNED_IN, {}).values())
    return db.session.scalars(
        select(Exchange).join(Participant).where(mine, Participant.withdrawn_at.is_(None))
    ).all()


_NONE = "This exchange does not exist."


def _find(slug: str) -> Exchange:
    """Return an exchange, locked for the request if somebody may join it."""
    wanted = select(Exchange).filter_by(slug=slug)
    found = db.session.scalar(wanted.with_for_update() if request.method == "POST" else wanted)
    return found or abort(404, _NONE)


def _signed_in(exchange_id: int) -> Participant | None:
    """Return who is signed in to an exchange."""
    known = session.get(_SIGNED_IN, {}).get(str(exchange_id))
    person = db.session.get(Participant, known) if known else None
    return person if person is not None and person.withdrawn_at is None else None


def _sign_out(exchange_id: int) -> None:
    others = {**session.get(_SIGNED_IN, {})}
    others.pop(str(exchange_id), None)
    session[_SIGNED_IN] = others
    renew_session()


def _count_mail(slug: str, email: str) -> None:
    """Limit how many mails a client, and an address, may be sent."""
    limit(services().limiter, REGISTRATIONS, sender())
    limit(services().limiter, LINKS, f"{slug} {email.lower()}")


def _mail_is_sent(slug: str) -> Any:
    return redirect(url_for("visitors.sent", slug=slug), 303)


def _registration(
    slug: str, form: RegistrationForm, status: int, link_form: LinkForm | None = None
) -> Any:
    exchange = _find(slug)
    link_form = link_form or LinkForm(formdata=None)
    page = render_template("register.html", exchange=exchange, form=form, link_form=link_form)
    return page, status


def _profile(person: Participant, form: ProfileForm, status: int, fault: str | None = None) -> Any:
    page = render_template(
        "me.html", person=person, exchange=person.exchange, receiver=receiver_of(person),
        form=form, fault=fault, now=services().clock.now(),
    )  # fmt: skip
    return page, status
