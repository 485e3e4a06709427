"""The pages of accounts: sign-in, sign-out and the inbox."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException
from fastapi.responses import Response
from sqlalchemy import select, update

from apps.alerts import accounts
from apps.alerts.api.access import address_of
from apps.alerts.models import Notice
from apps.alerts.pages.browser import Sender, Visitor

router = APIRouter(include_in_schema=False)

ROWS = 100
Text = Annotated[str, Form(max_length=1000)]


@router.get("/", name="home")
async def home(browser: Visitor) -> Response:
    """Go to the page of the user's role, or to the sign-in page."""
    user = browser.visit.user
    if user is None:
        return browser.go_to("sign-in")
    return browser.go_to("scheduler" if user.role == "admin" else "alerts")


@router.get("/sign-in", name="sign-in")
async def sign_in_form(browser: Visitor) -> Response:
    """Show the sign-in form."""
    if browser.visit.user:
        return browser.go_to("home")
    return await browser.show("welcome.html", email="", error=None)


@router.post("/sign-in")
async def sign_in(browser: Sender, email: Text = "", password: Text = "") -> Response:
    """Sign in, or show the form with its error."""
    address = address_of(browser.request)
    try:
        user = await accounts.sign_in(browser.services, address, email, password)
    except HTTPException as error:
        return await browser.show(
            "welcome.html", status=error.status_code, email=email, error=error.detail
        )
    return browser.go_as(user)


@router.post("/sign-out", name="sign-out")
async def sign_out(browser: Sender) -> Response:
    """Sign out."""
    return browser.go_as(None)


@router.get("/inbox", name="inbox")
async def inbox(browser: Visitor) -> Response:
    """Show the user's newest notices."""
    query = select(Notice).where(Notice.user_id == browser.user.id)
    query = query.order_by(Notice.created_at.desc(), Notice.id).limit(ROWS)
    async with browser.services.database.session() as session:
        found = list(await session.scalars(query))
    return await browser.show("inbox.html", notices=found)


@router.post("/inbox/read-all", name="read-all")
async def read_all(browser: Sender) -> Response:
    """Mark all notices as read."""
    unread = (Notice.user_id == browser.user.id) & Notice.read_at.is_(None)
    now = browser.services.clock.now()
    async with browser.services.database.begin() as session:
        await session.execute(update(Notice).where(unread).values(read_at=now))
    return browser.go_to("inbox")
