"""Errors as they look in real applications: chained, and deep inside libraries."""

from __future__ import annotations

import json

from jinja2 import Environment
from pydantic import BaseModel, TypeAdapter
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

RESPONSE = '{"items": [{"sku": "A-1", "price": 12.5}, {"sku": "A-2", "price": 7.25}, {"sku": "A-3"'


class CardDeclined(Exception):
    """The bank has refused a card."""


class CarrierUnavailable(Exception):
    """A carrier's service does not respond."""


class FeedError(Exception):
    """A price feed cannot be read."""


class ReportFailed(Exception):
    """A report could not be made."""


class StockMismatch(Exception):
    """Two systems disagree about what is in stock."""


class Row(BaseModel):
    """A row of a file that a partner sends."""

    sku: str
    quantity: int
    price: float


def decline(order: int) -> None:
    """Fail as a payment provider does."""
    raise CardDeclined(f"order {order}: the issuer declined the charge (insufficient_funds)")


def time_out(host: str) -> None:
    """Fail as a client does whose server does not respond, after its own retries."""
    try:
        _connect(host, tries=4)
    except TimeoutError as error:
        raise CarrierUnavailable(f"{host} did not respond within 30 s (4 tries)") from error


def read_feed(source: str) -> None:
    """Fail on a response that was cut off."""
    try:
        json.loads(RESPONSE)
    except ValueError as error:
        raise FeedError(f"{source}: the response is not JSON; it ends after 88 bytes") from error


def query_warehouse(report: str) -> None:
    """Fail with an error of the database, inside a template, inside a report: some 10 kB."""
    engine = create_engine("sqlite://")

    def rows(name: str, depth: int) -> list[str]:
        if depth:
            return template.render(rows=rows, name=name, depth=depth - 1).split()
        with engine.connect() as connection:
            statement = text("select sku, sum(quantity) from stock_movements group by sku")
            return [str(row) for row in connection.execute(statement)]

    template = Environment(autoescape=True).from_string(
        "{% for row in rows(name, depth) %}{{ row }}{% endfor %}"
    )
    try:
        rows(report, 8)
    except SQLAlchemyError as error:
        try:
            _mail_failure(report)
        except OSError as second:
            second.__context__ = error
            raise ReportFailed(f"report {report!r} was neither made nor sent") from second


def validate_rows(file: str) -> None:
    """Fail on rows that a partner has sent in the wrong form."""
    bad = [{"sku": f"SKU-{n:04}", "quantity": "a dozen", "price": None} for n in range(12)]
    try:
        TypeAdapter(list[Row]).validate_python(bad)
    except ValueError as error:
        error.add_note(f"while reading {file}")
        raise


def _connect(host: str, tries: int) -> None:
    try:
        raise TimeoutError(f"connect to {host}:443 timed out")
    except TimeoutError:
        if tries > 1:
            _connect(host, tries - 1)
        raise


def _mail_failure(report: str) -> None:
    raise ConnectionRefusedError(111, f"mail.internal:25 refused the message about {report}")
