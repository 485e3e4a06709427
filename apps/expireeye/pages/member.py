"""The pages of a member: products and notifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import Response

from apps.expireeye import inventory, notices
from apps.expireeye.api.products import read_expiry
from apps.expireeye.inventory import Page
from apps.expireeye.pages.browser import Browser, Sender, Visitor
from apps.expireeye.problems import Problem

router = APIRouter(include_in_schema=False)

PAGE = 50
MAX_QUANTITY = 1_000_000


@dataclass(frozen=True, slots=True)
class ItemForm:
    """The fields of the form for an item."""

    name: Annotated[str, Form(max_length=1000)] = ""
    date: Annotated[str, Form(max_length=20)] = ""
    time: Annotated[str, Form(max_length=20)] = ""
    quantity: Annotated[str, Form(max_length=20)] = "1"
    note: Annotated[str, Form(max_length=2000)] = ""

    @property
    def expiry_text(self) -> str:
        """The date, with the local time if one was given."""
        return f"{self.date}T{self.time}" if self.time.strip() else self.date

    @property
    def pieces(self) -> int:
        """The quantity.

        Raises:
            Problem: 422, it is not valid.
        """
        text = self.quantity.strip() or "1"
        if not text.isdecimal() or not 1 <= int(text) <= MAX_QUANTITY:
            raise Problem(
                422,
                "bad_quantity",
                f"The quantity must be a number from 1 to {MAX_QUANTITY:,}.",
                "quantity",
            )
        return int(text)


@dataclass(frozen=True, slots=True)
class Choice:
    """The query of the products page."""

    status: Literal["active", "expired"] | None = None
    page: Annotated[int, Query(ge=1, le=100_000)] = 1


Sent = Annotated[ItemForm, Depends(ItemForm)]
EMPTY, ALL = ItemForm(), Choice()


@router.get("/my-products", name="products")
async def products(browser: Visitor, choice: Annotated[Choice, Depends(Choice)]) -> Response:
    """Show the user's products, and the form to add one."""
    return await _products(browser, choice)


@router.post("/my-products")
async def add(browser: Sender, sent: Sent) -> Response:
    """Add a product, or show the form with its error."""
    user, services = browser.user, browser.services
    try:
        expiry = read_expiry(sent.expiry_text, user)
        async with services.database.begin() as session:
            product = await inventory.product_named(session, sent.name)
            await inventory.add_item(
                session, user, services.clock.now(), product_id=product.id, expiry=expiry,
                quantity=sent.pieces, note=sent.note.strip(),
            )  # fmt: skip
    except Problem as problem:
        return await _products(browser, form=sent, error=problem)
    return browser.go_to("products")


@router.post("/my-products/{item_id}", name="change-product")
async def change(browser: Sender, item_id: str, sent: Sent) -> Response:
    """Change a product's date, quantity or note, or show the form with its error."""
    user, services = browser.user, browser.services
    try:
        expiry = read_expiry(sent.expiry_text, user)
        async with services.database.begin() as session:
            owned = await inventory.get_item(session, user, item_id, to_edit=True)
            inventory.move_expiry(owned.item, expiry, services.clock.now())
            owned.item.quantity, owned.item.note = sent.pieces, sent.note.strip()
    except Problem as problem:
        if problem.status != 422:
            raise
        return await _products(browser, form=sent, error=problem, editing=item_id)
    return browser.go_to("products")


@router.post("/my-products/{item_id}/remove", name="remove-product")
async def remove(browser: Sender, item_id: str) -> Response:
    """Delete a product."""
    user = browser.user
    async with browser.services.database.begin() as session:
        await inventory.remove_item(session, user, item_id)
    return browser.go_to("products")


@router.get("/inbox", name="inbox")
async def inbox(browser: Visitor, show: Literal["unread", "all"] = "unread") -> Response:
    """Show the user's notifications."""
    user = browser.user
    async with browser.services.database.session() as session:
        found = await notices.list_notices(session, user, unread=show == "unread")
    return await browser.show("inbox.html", notices=found, show=show)


@router.post("/inbox/read-all", name="read-all")
async def read_all(browser: Sender) -> Response:
    """Mark all notifications as read."""
    user = browser.user
    async with browser.services.database.begin() as session:
        await notices.mark_all_read(session, user)
    return browser.go_to("inbox")


@router.post("/inbox/{notice_id}/read", name="read-one")
async def read_one(browser: Sender, notice_id: int) -> Response:
    """Mark a notification as read."""
    user = browser.user
    async with browser.services.database.begin() as session:
        await notices.mark_read(session, user.id, notice_id)
    return browser.go_to("inbox")


async def _products(
    browser: Browser,
    choice: Choice = ALL,
    *,
    form: ItemForm = EMPTY,
    error: Problem | None = None,
    editing: str | None = None,
) -> Response:
    user, services = browser.user, browser.services
    async with services.database.session() as session:
        page = Page(choice.page, PAGE)
        items, total = await inventory.list_items(session, user, page, status=choice.status)
        context: dict[str, Any] = {
            "items": items,
            "pages": max(1, -(-total // PAGE)),
            "counts": await inventory.counts(session, user, services.clock.now()),
            "known": (await inventory.search_products(session, "", Page(1, 200)))[0],
        }
    return await browser.show(
        "products.html", status=error.status if error else 200,
        show=choice.status, page=choice.page, form=form, error=error, editing=editing, **context,
    )  # fmt: skip
