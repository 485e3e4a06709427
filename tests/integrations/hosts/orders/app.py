"""A FastAPI application that takes orders, reminds of unpaid ones and reports each night."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import FastAPI, HTTPException

from duly import Retry, Run, Scheduler, cron, every
from duly.errors import DulyError

scheduler = Scheduler("sqlite:///orders.db", timezone="Europe/Madrid")
app = FastAPI(lifespan=scheduler.lifespan)
orders: dict[int, str] = {}
outbox: list[str] = []


class Gateway:
    """The payment service; tests make it fail or slow."""

    def charge(self, order: int) -> None:
        """Charge an order."""


gateway = Gateway()


@app.post("/orders/{order}")
async def place(order: int) -> dict[str, str]:
    orders[order] = "placed"
    await scheduler.aio.enqueue(remind, order=order, delay=timedelta(days=3), unique_key=str(order))
    return {"state": "placed"}


@app.post("/orders/{order}/pay")
def pay(order: int) -> dict[str, str]:
    if order not in orders:
        raise HTTPException(404)
    return {"run": charge.enqueue(order=order)}


@app.delete("/orders/{order}")
async def cancel(order: int) -> dict[str, int]:
    orders[order] = "cancelled"
    waiting = await scheduler.aio.runs(task="remind", state="scheduled")
    ids = [run.id for run in waiting if run.args["order"] == order]
    for run_id in ids:
        await scheduler.aio.cancel(run_id)
    return {"cancelled": len(ids)}


@app.post("/report")
async def report_now() -> dict[str, Any]:
    run = await scheduler.aio.run_now("report", wait=10)
    return {"state": run.state, "result": run.result}


@app.get("/health")
async def health() -> dict[str, bool]:
    return {"ok": (await scheduler.aio.health()).ok}


@scheduler.task(retry=Retry(attempts=3, wait=60, factor=2, jitter=0), timeout=30, queue="payments")
def charge(order: int) -> str:
    gateway.charge(order)
    orders[order] = "paid"
    send.enqueue(text=f"receipt {order}")
    return "paid"


@scheduler.task()
async def remind(order: int, run: Run) -> str:
    if orders.get(order) != "placed":
        return "nothing to do"
    outbox.append(f"reminder {order} at {run.now():%Y-%m-%d %H:%M}")
    return "reminded"


@scheduler.task()
async def send(text: str) -> None:
    outbox.append(text)


@scheduler.job(cron("0 2 * * *"), id="report")
def report(run: Run) -> dict[str, int]:
    """Count the orders, at two o'clock in Madrid."""
    counted = {state: list(orders.values()).count(state) for state in set(orders.values())}
    outbox.append(f"report at {run.now():%H:%M}")
    return counted


@scheduler.job(after=["report"], id="archive")
async def archive() -> None:
    for order in [order for order, state in orders.items() if state == "cancelled"]:
        del orders[order]


@scheduler.job(every(hours=12), id="clean", misfire_grace=60)
def clean() -> None:
    outbox.append("clean")


@scheduler.job(cron("0 9 * * mon-fri"), id="greet")
def greet() -> None:
    outbox.append("good morning")


def state_of(run_id: str) -> str:
    try:
        return scheduler.run(run_id).state
    except DulyError:
        return "unknown"
