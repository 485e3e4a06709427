"""The bodies of requests, and conversions of rows to responses."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from apps.expireeye.dates import to_wire
from apps.expireeye.frequency import name_of
from apps.expireeye.history import Entry
from apps.expireeye.inventory import Owned
from apps.expireeye.models import Notification, Product, User
from duly import JobRecord


class Body(BaseModel):
    """Base class of request bodies, whose JSON members are in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class Registration(Body):
    """The body of ``POST /auth/register``."""

    email: str = Field(max_length=254)
    password: str = Field(max_length=1000)
    time_zone: str = Field("UTC", max_length=64)


class Credentials(Body):
    """The body of ``POST /auth/login``."""

    email: str = Field(max_length=254)
    password: str = Field(max_length=1000)


class NewProduct(Body):
    """The body of ``POST /products``."""

    name: str
    category: str | None = Field(None, max_length=100)
    barcode: str | None = Field(None, max_length=64)


class NewItem(Body):
    """The body of ``POST /user-products``."""

    product_id: str = Field(max_length=36)
    expiry_date: str = Field(max_length=40)
    quantity: int = Field(1, ge=1, le=1_000_000)
    note: str = Field("", max_length=2000)


class ItemChange(Body):
    """The body of ``PATCH /user-products/{id}``; absent members are not changed."""

    expiry_date: str | None = Field(None, max_length=40)
    quantity: int | None = Field(None, ge=1, le=1_000_000)
    note: str | None = Field(None, max_length=2000)


class FrequencyChange(Body):
    """The body of ``PATCH /scheduler/jobs/check_product_expiry``."""

    frequency: str


def show_user(user: User) -> dict[str, Any]:
    """Return a user without secrets."""
    return {"id": user.id, "email": user.email, "timeZone": user.time_zone}


def show_product(product: Product) -> dict[str, Any]:
    """Return a product of the catalogue."""
    return {
        "id": product.id,
        "name": product.name,
        "category": product.category,
        "barcode": product.barcode,
    }


def show_item(owned: Owned) -> dict[str, Any]:
    """Return an item, with instants in UTC."""
    item = owned.item
    return {
        "id": item.id,
        "productId": item.product_id,
        "productName": owned.name,
        "expiryDate": to_wire(item.expiry_date),
        "expiryIsDateOnly": item.expiry_is_date_only,
        "status": item.status,
        "quantity": item.quantity,
        "note": item.note,
        "createdAt": to_wire(item.created_at),
        "updatedAt": to_wire(item.updated_at),
        "expiredAt": item.expired_at and to_wire(item.expired_at),
    }


def show_notice(notice: Notification) -> dict[str, Any]:
    """Return a notification for the list; pushed messages have another format."""
    return {
        "id": notice.id,
        "type": notice.type,
        "message": notice.message,
        "productName": notice.product_name,
        "expiryDate": to_wire(notice.expiry_date),
        "read": notice.read,
        "createdAt": to_wire(notice.created_at),
    }


def show_entry(entry: Entry) -> dict[str, Any]:
    """Return an entry of the history."""
    return {
        "id": entry.id,
        "trigger": "manual" if entry.by_hand else "schedule",
        "processId": entry.worker,
        "at": to_wire(entry.at),
        "startedAt": entry.started_at and to_wire(entry.started_at),
        "finishedAt": entry.finished_at and to_wire(entry.finished_at),
        "durationMs": None if entry.duration is None else round(entry.duration * 1000),
        "outcome": entry.outcome,
        "ticks": entry.ticks,
        "counters": entry.counters,
        "error": entry.detail,
    }


def show_job(job: JobRecord) -> dict[str, Any]:
    """Return the scheduled job."""
    return {
        "id": job.id,
        "trigger": job.trigger.describe() if job.trigger else job.unresolved_reason,
        "frequency": name_of(job.trigger),
        "state": job.state,
        "nextRunTime": job.next_fire_at and to_wire(job.next_fire_at),
    }
