"""A Flask application as users write them: Flask-SQLAlchemy, jobs declared after `init_app`."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import click
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import insert

from duly import Run, Scheduler, every, prepare_engine
from duly.integrations.flask import get_scheduler, init_app
from duly.web import Principal
from tests.integrations.hosts.settings import BEAT, GRACE, RHYTHM, START, URL, heard, say

POLL = 0.02
app = Flask("host")
app.config["SQLALCHEMY_DATABASE_URI"] = URL
db = SQLAlchemy(app)
with app.app_context():
    prepare_engine(db.engine)
effects = db.Table(
    "effect",
    db.Column("nominal", db.String(40)),
    db.Column("pid", db.Integer),
    db.Column("at", db.Float),
)
orders = db.Table("placed", db.Column("number", db.Integer))
scheduler = Scheduler(URL, heartbeat=RHYTHM, grace=GRACE, start=START)
init_app(app, scheduler, web="/duly", access=lambda _request: Principal("ana"))


@scheduler.job(every(seconds=BEAT), id="beat")
def beat(run: Run) -> str:
    row = {"nominal": str(run.scheduled_for), "pid": os.getpid()}
    db.session.execute(insert(effects).values(row))
    db.session.commit()
    return current_app.name


@scheduler.task()
def hold() -> str:
    say("entered")
    while not heard("leave"):
        threading.Event().wait(POLL)
    return "finished"


@scheduler.task()
async def hold_async() -> str:
    say("entered")
    while not heard("leave"):  # noqa: ASYNC110 - it waits for another process
        await asyncio.sleep(POLL)
    return "finished"


@scheduler.task()
def receipt(order: int) -> int:
    return order


@app.get("/")
def health() -> dict[str, Any]:
    held = get_scheduler().health()
    return {"ok": held.ok, "engine": held.engine, "pid": os.getpid()}


@app.post("/tasks/<name>")
def start_task(name: str) -> Any:
    return app.json.response(scheduler.enqueue(name))


@app.post("/orders/<int:number>/<how>")
def order(number: int, how: str) -> Any:
    db.session.execute(insert(orders).values(number=number))
    run_id = receipt.enqueue(order=number, session=db.session)
    if how == "commit":
        db.session.commit()
    return app.json.response(run_id)


@app.cli.command("tidy")
def tidy() -> None:
    click.echo(f"tidy: {get_scheduler().state}")


if __name__ == "__main__":
    app.run(port=0, debug=os.environ["HOST_DEBUG"] == "True")
