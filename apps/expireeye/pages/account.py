"""The pages of accounts: registration, sign-in and sign-out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from fastapi.responses import Response

from apps.expireeye import accounts
from apps.expireeye.api.access import address_of, allow
from apps.expireeye.dates import time_zones
from apps.expireeye.pages.browser import Sender, Visitor
from apps.expireeye.problems import Problem
from apps.expireeye.services import LOGIN_WINDOW
from apps.expireeye.tokens import SOCKET

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form(max_length=1000)]


@dataclass(frozen=True, slots=True)
class AccountForm:
    """The fields of the forms of this module."""

    email: Text = ""
    password: Text = ""
    zone: Text = "UTC"


Sent = Annotated[AccountForm, Depends(AccountForm)]
EMPTY = AccountForm()


@router.get("/", name="home")
async def home(browser: Visitor) -> Response:
    """Go to the products, or to the sign-in page if the visitor is not signed in."""
    return browser.go_to("products" if browser.visit.user else "sign-in")


@router.get("/sign-in", name="sign-in")
async def sign_in_form(browser: Visitor) -> Response:
    """Show the sign-in form."""
    if browser.visit.user:
        return browser.go_to("products")
    return await browser.show("sign_in.html", form=EMPTY, error=None)


@router.post("/sign-in")
async def sign_in(browser: Sender, sent: Sent) -> Response:
    """Sign in, or show the form with its error."""
    failed, address = browser.services.failed_logins, address_of(browser.request)
    try:
        allow(failed.reached(address), LOGIN_WINDOW)
        async with browser.services.database.session() as session:
            user = await accounts.authenticate(session, sent.email, sent.password)
        if user is None:
            failed.record(address)
            raise Problem(401, "wrong_credentials", "Address or password is wrong.")
    except Problem as problem:
        return await browser.show("sign_in.html", status=problem.status, form=sent, error=problem)
    return browser.go_as(user)


@router.get("/register", name="register")
async def register_form(browser: Visitor) -> Response:
    """Show the registration form."""
    if browser.visit.user:
        return browser.go_to("products")
    return await browser.show("register.html", form=EMPTY, error=None, zones=time_zones())


@router.post("/register")
async def register(browser: Sender, sent: Sent) -> Response:
    """Create an account and sign in, or show the form with its error."""
    services = browser.services
    try:
        async with services.database.begin() as session:
            user = await accounts.register(
                session, services.clock.now(),
                email=sent.email, password=sent.password, time_zone=sent.zone,
            )  # fmt: skip
    except Problem as problem:
        return await browser.show(
            "register.html", status=problem.status, form=sent, error=problem, zones=time_zones()
        )
    return browser.go_as(user)


@router.post("/sign-out", name="sign-out")
async def sign_out(browser: Sender) -> Response:
    """Sign out."""
    return browser.go_as(None)


@router.post("/ws/ticket", name="socket-ticket")
async def socket_ticket(browser: Sender) -> dict[str, object]:
    """Issue a ticket for the WebSocket, valid for 30 seconds; scripts cannot read the cookie."""
    if browser.visit.user is None:
        raise Problem(401, "not_signed_in", "Sign in first.")
    ticket = browser.services.tokens.issue("socket", SOCKET, user=browser.visit.user.id)
    return {"ticket": ticket, "expiresIn": int(SOCKET.total_seconds())}
