"""The pages of webhooks, for admins."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask_login import login_required
from sqlalchemy import select

from apps.sneaky_klaus import webhooks as service
from apps.sneaky_klaus.database import db, transaction
from apps.sneaky_klaus.models import Webhook
from apps.sneaky_klaus.pages.forms import WebhookForm
from apps.sneaky_klaus.services import services
from duly.integrations.flask import get_scheduler

webhooks = Blueprint("webhooks", __name__, url_prefix="/admin/webhooks")

DELIVERIES = 20


@webhooks.before_request
@login_required
def require_admin() -> None:
    """Let admins in only."""


@webhooks.get("")
def index() -> Any:
    """List the webhooks, and what was sent to them."""
    found = db.session.scalars(select(Webhook).order_by(Webhook.id)).all()
    sent = get_scheduler().runs(task=service.deliver_webhook, limit=DELIVERIES)
    return render_template(
        "webhooks.html", webhooks=found, deliveries=sent, now=services().clock.now()
    )


@webhooks.route("/new", methods=["GET", "POST"])
def new() -> Any:
    """Create a webhook, whose secret is shown once."""
    form = WebhookForm()
    if not form.validate_on_submit():
        return _form(form)
    with transaction():
        made = service.create(form.url.data, form.events.data)
        made.active = form.active.data
        secret = made.secret
    flash(secret, "secret")
    return _go()


@webhooks.route("/<int:webhook_id>/edit", methods=["GET", "POST"])
def edit(webhook_id: int) -> Any:
    """Change a webhook; its secret stays."""
    webhook = _find(webhook_id)
    form = WebhookForm(obj=webhook)
    if not form.validate_on_submit():
        return _form(form, webhook)
    with transaction():
        form.populate_obj(webhook)
    flash("The webhook was changed.")
    return _go()


@webhooks.post("/<int:webhook_id>/delete")
def delete(webhook_id: int) -> Any:
    """Delete a webhook; what is on its way to it is not sent."""
    with transaction():
        db.session.delete(_find(webhook_id))
    flash("The webhook was deleted.")
    return _go()


@webhooks.post("/<int:webhook_id>/test")
def test(webhook_id: int) -> Any:
    """Send an event that tests a webhook."""
    with transaction():
        service.send_test(_find(webhook_id))
    flash("A test is on its way; see the deliveries below.")
    return _go()


def _find(webhook_id: int) -> Webhook:
    return db.session.get(Webhook, webhook_id) or abort(404, "This webhook does not exist.")


def _form(form: WebhookForm, webhook: Webhook | None = None) -> Any:
    page = render_template("webhook_form.html", form=form, webhook=webhook)
    return page, 422 if form.errors else 200


def _go() -> Any:
    return redirect(url_for("webhooks.index"), 303)
