"""The pages of accounts: registration, sign-in and sign-out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from apps.expireeye import accounts, sign_ins
from apps.expireeye.api.access import ServicesDep, address_of, signed_in
from apps.expireeye.models import SignIn
from apps.expireeye.pages.browser import Sender, Visitor
from apps.expireeye.pages.session import checked_visit
from apps.expireeye.problems import Problem
from apps.expireeye.tokens import SOCKET
from apps.zones import time_zones

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


async def program_or_page(request: Request, services: ServicesDep) -> SignIn:
    """Return the sign-in of a program's bearer token, or of a page of this site.

    Raises:
        Problem: 401, neither is signed in.
    """
    if "authorization" in request.headers:
        return await signed_in(request, services)
    visit = await checked_visit(request, services)
    if visit.sign_in is None:
        raise Problem(401, "not_signed_in", "Sign in first.")
    return visit.sign_in


@router.get("/", name="home")
async def home(browser: Visitor) -> Response:
    """Go to the products, or to the sign-in page if the visitor is not signed in."""
    return browser.go_to("products" if browser.visit.user else "sign-in")


@router.get("/sign-in", name="sign-in")
async def sign_in_form(browser: Visitor) -> Response:
    """Show the sign-in form."""
    if browser.visit.user:
        return browser.go_to("products")
    return await browser.show("welcome.html", email="", error=None)


@router.post("/sign-in")
async def sign_in(browser: Sender, sent: Sent) -> Response:
    """Sign in, or show the form with its error."""
    address = address_of(browser.request)
    try:
        user = await accounts.sign_in(browser.services, address, sent.email, sent.password)
    except Problem as problem:
        return await browser.show(
            "welcome.html", status=problem.status, email=sent.email, error=problem.message
        )
    return await browser.go_as(user)


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
        user = await accounts.register(
            services.database, services.clock.now(),
            email=sent.email, password=sent.password, time_zone=sent.zone,
        )  # fmt: skip
    except Problem as problem:
        return await browser.show(
            "register.html", status=problem.status, form=sent, error=problem, zones=time_zones()
        )
    return await browser.go_as(user)


@router.post("/sign-out", name="sign-out")
async def sign_out(browser: Sender) -> Response:
    """Sign out: the cookie is refused from now on, wherever it was copied to."""
    return await browser.go_as(None)


@router.post("/ws/ticket", name="socket-ticket")
async def socket_ticket(
    sign_in: Annotated[SignIn, Depends(program_or_page)], services: ServicesDep
) -> dict[str, object]:
    """Issue a ticket that opens one socket within 30 seconds; scripts cannot read the cookie."""
    async with services.database.begin() as session:
        ticket = await sign_ins.issue_ticket(session, sign_in, services.clock.now(), SOCKET)
    return {"ticket": ticket, "expiresIn": int(SOCKET.total_seconds())}
