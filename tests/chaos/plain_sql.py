"""A load of a host with plain SQL: its jobs work on connections of the driver, without SQLAlchemy.

Each payment and its receipt are written by two runs, the second enqueued in the transaction of the
first. None may be missing, and none may exist twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from sqlalchemy import make_url

from duly import Retry, Run, Scheduler, every
from tests.support.drivers import connect, query

PATIENT = Retry(attempts=50, wait=0.3, factor=1.5, max_wait=3)


def prepare(url: str) -> None:
    """See `tests.chaos.load.Load`; the tables have no unique keys, so that duplicates are seen."""
    with closing(_connect(url)) as driver:
        for table in ("plain_payment", "plain_receipt"):
            query(driver, f"create table {table} (run_id varchar(36) not null)")
        driver.commit()


def declare(scheduler: Scheduler, url: str) -> None:
    """See `tests.chaos.load.Load`."""

    def host() -> Any:
        return _connect(url)

    @scheduler.job(every(seconds=1), id="plain-pay", transactional=host, retry=PATIENT)
    def plain_pay(run: Run) -> None:
        query(run.connection(), f"insert into plain_payment values ('{run.id}')")
        scheduler.enqueue("plain_receipt", payment=run.id, session=run.connection())

    @scheduler.task(transactional=True, retry=PATIENT)
    def plain_receipt(payment: str, run: Run) -> None:
        query(run.connection(), f"insert into plain_receipt values ('{payment}')")


def check(url: str) -> Iterator[str]:
    """See `tests.chaos.load.Load`."""
    with closing(_connect(url)) as driver:
        paid = Counter(row[0] for row in query(driver, "select run_id from plain_payment"))
        receipts = Counter(row[0] for row in query(driver, "select run_id from plain_receipt"))
        wanted = "select id from duly_run where task = 'plain_pay' and state = 'succeeded'"
        succeeded = Counter(str(row[0]) for row in query(driver, wanted))
    if not succeeded:
        yield "no payment succeeded"
    for what, found in (("paid", paid), ("receipted", receipts)):
        for run_id in found.keys() | succeeded.keys():
            if found[run_id] != succeeded[run_id]:
                yield f"run {run_id} was {what} {found[run_id]} times, not {succeeded[run_id]}"


def _connect(url: str) -> Any:
    address = make_url(url)
    limits = {"timeout" if address.get_backend_name() == "sqlite" else "connect_timeout": 5}
    return connect(address, **limits)
