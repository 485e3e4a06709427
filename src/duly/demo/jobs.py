"""The jobs of the sample shop: they succeed, fail, retry, run long, and follow each other."""

from __future__ import annotations

import asyncio
import random
import threading

from duly.context import Run
from duly.model.policy import Retry
from duly.operations.groups import JobGroup
from duly.scheduler import Scheduler
from duly.triggers import cron, every

jobs = JobGroup()
FRAMES = 120
FRAME_S = 0.25
PRODUCTS = ("tea", "coffee", "cocoa", "honey")


class CarrierUnreachable(Exception):
    """The sample's parcel service does not answer."""


@jobs.task(retry=Retry(attempts=3, wait=5))
async def send_receipt(order: int, product: str, run: Run) -> dict[str, int | str]:
    """Send the receipt of an order."""
    await asyncio.sleep(random.uniform(0.05, 0.4))
    run.log.info("Sent the receipt of order %d.", order)
    return {"order": order, "product": product}


@jobs.job(every(seconds=5), id="take_orders", tags=["shop"], at_start=True)
def take_orders(run: Run) -> dict[str, list[int]]:
    """Take a few orders, and enqueue the receipt of each."""
    orders = [random.randint(1000, 9999) for _ in range(random.randint(1, 4))]
    for order in orders:
        send_receipt.enqueue(order=order, product=random.choice(PRODUCTS))
    run.count(orders=len(orders))
    return {"orders": orders}


@jobs.job(
    every(seconds=30), id="import_prices", tags=["shop"], retry=Retry(attempts=4, wait=3),
    at_start=True,
)  # fmt: skip
def import_prices(run: Run) -> str:
    """Import prices: the first two attempts fail, and the third succeeds."""
    if run.attempt < 3:
        raise ConnectionError("prices.example closed the connection")
    return f"imported in attempt {run.attempt}"


@jobs.job(
    every(seconds=45), id="book_parcels", tags=["shop"], retry=Retry(attempts=2, wait=2),
    at_start=True,
)  # fmt: skip
def book_parcels() -> None:
    """Book parcels with a service that is away, so that each run ends as a dead letter."""
    raise CarrierUnreachable("parcels.example does not respond")


@jobs.job(every(minutes=1), id="render_catalogue", queue="heavy", overlap="skip", at_start=True)
def render_catalogue(run: Run) -> dict[str, int]:
    """Render the pages of a catalogue for half a minute, and show the progress."""
    for page in range(FRAMES):
        run.check()
        threading.Event().wait(FRAME_S)
        run.progress(page + 1, FRAMES, note=f"page {page + 1}")
    return {"pages": FRAMES}


@jobs.job(after=["render_catalogue"], id="publish_catalogue", tags=["shop"])
def publish_catalogue(run: Run) -> None:
    """Publish the catalogue when it is rendered."""
    run.log.info("Published the catalogue.")


@jobs.job(after=["book_parcels"], on="failure", id="tell_warehouse", tags=["shop"])
def tell_warehouse(run: Run) -> None:
    """Tell the warehouse that parcels were not booked."""
    run.log.warning("No parcels today.")


@jobs.job(cron("0 3 * * *", tz="Europe/Madrid"), id="back_up", tags=["nightly"])
def back_up() -> str:
    """Back up the shop at night, in the time of its zone."""
    return "backed up"


@jobs.job(cron("0 9 * * mon-fri"), id="newsletter", paused=True)
def newsletter() -> None:
    """Send the newsletter, which is paused until it is resumed."""


def demo_scheduler(url: str) -> Scheduler:
    """Return a scheduler with the jobs of the sample shop.

    Args:
        url: its database.
    """
    scheduler = Scheduler(
        url, name="demo", heartbeat="fast", queues={"default": 8, "heavy": 1}, grace=2
    )
    scheduler.include(jobs)
    return scheduler
