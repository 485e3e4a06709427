"""The functions of the scene: each takes virtual time, and logs and fails as real ones do.

``run.resources`` is a clock whose method ``work`` lets a function take time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from duly import Discard, JobGroup, Retry, Run, TaskFunction
from scripts.scene import failures

tasks = JobGroup()
BROKEN: dict[str, Callable[[str], None]] = {
    "shop.refresh_prices": failures.read_feed,
    "logistics.track_parcels": failures.time_out,
    "data.export_report": failures.query_warehouse,
    "data.load_table": failures.validate_rows,
}
"""How each task fails when it does."""


def luck(run: Run) -> random.Random:
    return random.Random(f"{run.job_id}/{run.due_at}/{run.attempt}")


def work(run: Run, seconds: float, parts: int, what: str) -> None:
    """Work on a number of parts, with a line of the log now and then."""
    pace = seconds * luck(run).uniform(0.7, 1.4) / parts
    run.log.info("Started: %d %s.", parts, what)
    for done in range(parts):
        run.resources.work(pace)
        run.progress(done + 1, parts, note=f"{what} {done + 1} of {parts}")
        if parts <= 12 or done % (parts // 8) == 0:
            run.log.info("Finished %s %d of %d.", what, done + 1, parts)
    run.count(**{what: parts})


def stumble(run: Run, chance: float, where: str) -> None:
    """Fail with a probability, in the way of the task."""
    if luck(run).random() < chance:
        run.log.warning("No usable answer from %s.", where)
        run.resources.work(luck(run).uniform(0.4, 3))
        BROKEN[run.task](where)


@tasks.task("shop.sync_stock")
def sync_stock(warehouse: str, run: Run) -> dict[str, int]:
    """Copy the stock of a warehouse into the shop."""
    work(run, 4, 6, "shelves")
    return {"changed": luck(run).randrange(400)}


@tasks.task("shop.refresh_prices", retry=Retry(attempts=3, wait=20))
def refresh_prices(source: str, chance: float, run: Run) -> dict[str, int]:
    """Fetch the prices of a source."""
    stumble(run, chance, source)
    work(run, 9, 3, "pages")
    return {"prices": luck(run).randrange(800, 2400)}


@tasks.task("shop.send_reminders", queue="mail")
def send_reminders(campaign: str, run: Run) -> dict[str, int]:
    """Remind customers of what they have left in their carts."""
    work(run, 20, 40, "mails")
    return {"sent": luck(run).randrange(40, 300)}


@tasks.task("shop.build_feed", queue="heavy")
def build_feed(channel: str, run: Run) -> str:
    """Build the product feed of a sales channel."""
    work(run, 260, 120, "products")
    return f"s3://feeds/{channel}.xml.gz"


@tasks.task("billing.charge_card", queue="payments", retry=Retry(attempts=1))
def charge_card(order: int, card_token: str, run: Run) -> None:
    """Charge the card of an order."""
    run.resources.work(luck(run).uniform(0.3, 1.2))
    failures.decline(order)


@tasks.task("billing.issue_invoices", concurrency_key="erp")
def issue_invoices(country: str, run: Run) -> dict[str, int]:
    """Issue the invoices of a country."""
    work(run, 45, 30, "invoices")
    return {"issued": luck(run).randrange(20, 900)}


@tasks.task("billing.reconcile", concurrency_key="erp", retry=Retry(attempts=2, wait=60))
def reconcile(provider: str, chance: float, run: Run) -> None:
    """Compare the payouts of a payment provider with the ledger."""
    work(run, 30, 4, "payouts")
    if luck(run).random() < chance:
        raise failures.StockMismatch(f"{provider}: 3 payouts are not in the ledger")


@tasks.task("logistics.track_parcels", retry=Retry(attempts=2, wait=15))
def track_parcels(carrier: str, chance: float, run: Run) -> dict[str, int]:
    """Ask a carrier where its parcels are."""
    stumble(run, chance, carrier)
    work(run, 6, 2, "batches")
    return {"parcels": luck(run).randrange(50, 4000)}


@tasks.task("logistics.plan_routes", queue="heavy", timeout=900)
def plan_routes(depot: str, run: Run) -> dict[str, float]:
    """Plan the routes of a depot for the next day."""
    work(run, 340, 60, "routes")
    return {"kilometres": round(luck(run).uniform(900, 4800), 1)}


@tasks.task("logistics.print_labels")
def print_labels(printer: str, run: Run) -> None:
    """Send the labels of new parcels to a printer."""
    run.resources.work(luck(run).uniform(0.2, 2))
    if luck(run).random() < 0.3:
        raise Discard("there is nothing to print")


@tasks.task("data.load_table", retry=Retry(attempts=3, wait=30))
def load_table(table: str, chance: float, run: Run) -> dict[str, int]:
    """Load a table into the data warehouse."""
    stumble(run, chance, table)
    work(run, 80, 24, "chunks")
    return {"rows": luck(run).randrange(10_000, 4_000_000)}


@tasks.task("data.train_model", queue="gpu")
def train_model(model: str, run: Run) -> dict[str, float]:
    """Train a model on the events of the last month."""
    work(run, 900, 50, "epochs")
    return {"loss": round(luck(run).uniform(0.08, 0.3), 4)}


@tasks.task("data.export_report", queue="reports", retry=Retry(attempts=2, wait=120))
def export_report(report: str, chance: float, run: Run) -> str:
    """Make a report and send it."""
    stumble(run, chance, report)
    work(run, 50, 10, "sections")
    return f"s3://reports/{report}.pdf"


@tasks.task("data.recompute", queue="bulk")
def recompute(customer: int, run: Run) -> None:
    """Compute the figures of a customer again."""
    run.resources.work(luck(run).uniform(1, 4))


@tasks.task("platform.back_up", queue="heavy", keep=90)
def back_up(database: str, run: Run) -> str:
    """Back up a database."""
    work(run, 480, 80, "segments")
    return f"{luck(run).uniform(2, 90):.1f} GB"


@tasks.task("platform.probe")
def probe(service: str, run: Run) -> None:
    """Look whether a service responds."""
    run.resources.work(luck(run).uniform(0.02, 0.3))


@tasks.task("platform.check_certificate")
def check_certificate(domain: str, run: Run) -> dict[str, int]:
    """Look when a certificate expires."""
    run.resources.work(luck(run).uniform(0.1, 0.6))
    return {"days left": luck(run).randrange(12, 88)}


@tasks.task("platform.purge")
def purge(what: str, run: Run) -> None:
    """Delete what is no longer needed."""
    work(run, 12, 5, "batches")


BY_NAME: dict[str, TaskFunction[..., ..., Any]] = {
    value.name: value for value in list(globals().values()) if isinstance(value, TaskFunction)
}
"""All tasks by their names."""
