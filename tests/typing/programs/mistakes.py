"""A program with one mistake in each line that ends in ``# error``: both checkers find them all."""

from __future__ import annotations

from datetime import UTC, datetime

import duly
from duly import JobGroup, Run, Scheduler, before, cron, every, notify, secret, triggers

scheduler = Scheduler("sqlite:///app.db")
Scheduler("sqlite:///app.db", heartbeat="quick")  # error
Scheduler("sqlite:///app.db", timezon="Europe/Madrid")  # error
START = datetime(2026, 1, 1, tzinfo=UTC)


@scheduler.task()
def send(order: int, text: str = "") -> str:
    return f"{order} {text}"


@scheduler.task()
async def fetch(run: Run, url: str) -> int:
    return len(url)


# Names of what the packages export
duly.Schedular  # error
notify.mail_to  # error
notify.send_webhook("https://example.com", {}, secret="s")  # error
triggers.crontabs  # error

# Options of tasks and jobs
scheduler.task(retri=3)  # error
scheduler.task(retry="3")  # error
scheduler.task(on_crash="again")  # error
scheduler.task(overlap="skip")  # error
scheduler.task(executor=3)  # error
scheduler.job(every(hours=1), overlap="skp")  # error
scheduler.job(every(hours=1), catch_up="newest")  # error
scheduler.job(every(hours=1), misfire_grac=30)  # error
scheduler.job(every(hours=1), timeout="5")  # error
scheduler.job(after="a", on="failed")  # error
scheduler.add(send, every(hours=1), overlap="skp")  # error
scheduler.add(send, every(hours=1), max_runing=2)  # error
scheduler.add(send, every(hours=1), retry="often")  # error
scheduler.add(send, every(hours=1), args=[7])  # error
scheduler.add(send, every(hours=1), session="session")  # error
scheduler.add(send, "0 9 * * *")  # error
scheduler.add(7, cron("0 9 * * *"))  # error
scheduler.edit("j", overlap="skp")  # error
scheduler.edit("j", revision="3")  # error
before(START, days=7)  # error
before("2026-01-01", days=7, tz="UTC")  # error
before(START, days=7, tz="UTC", at=9)  # error
before(START, weeks=1, tz="UTC")  # error

# Groups
jobs = JobGroup(tags=["billing"])
JobGroup(retri=3)  # error
jobs.task(retri=3)  # error
jobs.job(every(hours=1), overlap="skp")  # error
jobs.job(every(hours=1), at_start="yes")  # error
jobs.job(every(hours=1), paused=1.5)  # error
jobs.job("0 9 * * *")  # error
scheduler.include(7)  # error
Scheduler("sqlite:///app.db", resources=7)  # error


@jobs.task()
def bill(order: int) -> str:
    return str(order)


bill.enqueue(order="7")  # error
bill(7).order  # error

# Plain calls
send("7")  # error
send()  # error
send(7, txt="hello")  # error
send(7).order  # error

# Enqueued calls
send.enqueue(order="7")  # error
send.enqueue()  # error
send.enqueue(order=7, txt="hello")  # error
fetch.enqueue(ulr="https://example.org")  # error
fetch.enqueue(url=7)  # error
scheduler.enqueue(send, order="7")  # error
scheduler.enqueue(send)  # error
scheduler.enqueue(send, order=7, txt="hello")  # error
scheduler.enqueue(send, order=7, dealy=3)  # error
scheduler.enqueue(send, order=7, delay="3")  # error
scheduler.enqueue(send, order=7, unique_key="k", unique="for ever")  # error
scheduler.enqueue(send, args={"order": 7}, dealy=3)  # error
scheduler.enqueue(send, args=[7])  # error
scheduler.enqueue(fetch, url=7)  # error
scheduler.enqueue(7)  # error
scheduler.enqueue_many(send, [{"order": 7}], unique="for ever")  # error
scheduler.enqueue(send, order=7, expires="60")  # error
scheduler.enqueue(send, order=7, retry="often")  # error
scheduler.enqueue_many(send, [{"order": 7}], timeout="5")  # error

# Names of other schedulers
scheduler.add_job(send, "cron")  # error
scheduler.shutdown()  # error
scheduler.add(send, every(hours=1), max_instances=3)  # error
scheduler.add(send, every(hours=1), replace_existing=True)  # error
send.delay(7)  # error
send.apply_async(args=[7], countdown=3)  # error
every(5)  # error
every(hour=1)  # error

# Results and queries
scheduler.job("j").next_fire  # error
scheduler.runs(state="faild")  # error
scheduler.jobs(order="name")  # error
scheduler.run("id").to_json()  # error
scheduler.pause("j").value  # error
scheduler.status().worker  # error
scheduler.backfill("j", START, "now")  # error
scheduler.run_nwo("j")  # error


async def call_async() -> None:
    await scheduler.aio.enqueu(send, order=7)  # error
    await scheduler.aio.nonsense()  # error
    await scheduler.aio.enqueue(send, order="7")  # error
    await send.aio.enqueue(order="7")  # error
    await send.aio.enqueue()  # error
    await send.aio.enqueue(ordr=7)  # error
    await send.aio.nonsense()  # error
    send.aio.enqueue(order=7).upper()  # error
    await scheduler.aio.enqueue(send)  # error
    await scheduler.aio.enqueue(send, ordr=7)  # error
    await scheduler.aio.enqueue(fetch, url=7)  # error
    await scheduler.aio.enqueue(send, order=7, delay="3")  # error
    await scheduler.aio.enqueue(send, order=secret("ORDER"))  # error
    await scheduler.aio.retry_runs(tsak="send")  # error
    await scheduler.aio.pause(tag=7)  # error
    await scheduler.aio.runs(state="sleeping")  # error
    await scheduler.aio.add(send, every(hours=1), overlap="skp")  # error
    await scheduler.aio.pause("j", reason=3)  # error
    (await scheduler.aio.job("j")).next_fire  # error
    await send(7)  # error
    await fetch("https://example.org")  # error
    (await fetch(run_of(), "https://example.org")).upper()  # error


def run_of() -> Run:
    raise NotImplementedError
