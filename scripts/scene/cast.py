"""The jobs of the scene: 200 of five teams, with every kind of trigger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from duly import (
    CatchUp,
    Trigger,
    Watch,
    all_of,
    any_of,
    at,
    blackout,
    calendar,
    closed_hours,
    cron,
    dates,
    every,
    frequency,
    rrule,
    weekends,
)

Job = dict[str, Any]
"""The arguments of `Scheduler.add` by name."""

ANCHOR = datetime(2026, 10, 1, tzinfo=UTC)
MADRID, NEW_YORK, TOKYO = "Europe/Madrid", "America/New_York", "Asia/Tokyo"
KOLKATA, LORD_HOWE, SAO_PAULO = "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo"
COUNTRIES = ("ES", "FR", "DE", "IT", "PT", "NL", "PL", "SE", "US", "JP")
WAREHOUSES = ("Getafe", "Zaragoza", "Lyon", "München", "Łódź", "Newark", "Osaka", "São Paulo")
CARRIERS = ("correos", "dhl", "gls", "mrw", "seur", "ups", "yamato")
SERVICES = ("checkout", "search", "accounts", "images", "ledger")
DATABASES = ("orders", "ledger", "catalogue", "accounts", "events", "search")
DOMAINS = ("shop.example", "pay.example", "img.example", "api.example", "月桂.example")
TABLES = (
    "orders", "order_lines", "customers", "sessions", "page_views", "refunds", "stock_movements",
    "parcels", "prices", "campaigns", "tickets", "reviews",
)  # fmt: skip
REPORTS = (
    "revenue", "margins", "returns", "churn", "stock age", "delivery times", "vat", "cohorts",
)  # fmt: skip
LONG = (
    "export-of-all-customer-records-for-the-annual-audit-including-archived-accounts-"
    "closed-before-2019-and-their-correspondence-with-the-support-of-the-northern-region"
)


def nightly() -> Iterator[Job]:
    """Yield the jobs that have existed for a month, and so have seen the clocks change."""
    for hour, minute in ((2, 30), (1, 45), (3, 15)):
        yield _job(
            f"ledger-close/{hour:02}:{minute:02}", "billing", "billing.reconcile",
            cron(f"{minute} {hour} * * *", tz=MADRID), provider="stripe", chance=0.02, keep=90,
            tags=["nightly", "close"],
        )  # fmt: skip
    yield _job(
        "ledger-close/both-times", "billing", "billing.reconcile",
        cron("30 2 * * *", tz=MADRID, fold="both"), provider="adyen", chance=0.0, keep=90,
        tags=["nightly", "close"],
    )  # fmt: skip
    for number, database in enumerate(DATABASES):
        yield _job(
            f"back-up/{database}", "platform", "platform.back_up",
            cron(f"{number * 7} {1 + number % 3} * * *", tz=MADRID), database=database,
            tags=["nightly", "backup"], keep=90,
        )  # fmt: skip
    yield _job(
        "fiscal-month-end", "billing", "billing.issue_invoices",
        calendar(months=1, at="22:00", start="2026-01-31", tz=MADRID), country="ES",
        tags=["monthly"],
    )  # fmt: skip
    yield _job(
        "payroll-export", "billing", "billing.issue_invoices",
        cron("0 8 25W * *", tz=MADRID).excluding("company holidays", shift="next_working_day"),
        country="ES", tags=["monthly", "payroll"],
    )  # fmt: skip
    yield _job(
        "lord-howe-tide-tables", "logistics", "logistics.plan_routes",
        cron("15 2 * * *", tz=LORD_HOWE), depot="Lord Howe Island", keep=90,
    )  # fmt: skip


def declared() -> Iterator[Job]:
    """Yield the jobs that code declares."""
    for number, country in enumerate(COUNTRIES):
        yield _job(
            f"refresh-prices/{country}", "shop", "shop.refresh_prices",
            every(minutes=30, anchor=ANCHOR + timedelta(minutes=number)),
            source=f"https://prices.example/{country.lower()}?api_key=3f9a",
            chance={"DE": 0.35, "US": 0.1}.get(country, 0.01), tags=["prices", country],
        )  # fmt: skip
    for number, service in enumerate(SERVICES):
        yield _job(
            f"probe/{service}", "platform", "platform.probe",
            every(minutes=2 if number == 0 else 15, anchor=ANCHOR),
            service=service, tags=["probe"], keep=3,
            watch=Watch(expected_every=900),
        )  # fmt: skip
    for number, table in enumerate(TABLES):
        yield _job(
            f"load/{table}", "data", "data.load_table",
            cron(f"{number * 5} * * * *", tz="UTC"), table=table,
            chance={"refunds": 1.0, "tickets": 0.4}.get(table, 0.02), tags=["warehouse", "hourly"],
            catch_up=CatchUp("all", limit=24),
        )  # fmt: skip
    for carrier in CARRIERS:
        yield _job(
            f"track/{carrier}", "logistics", "logistics.track_parcels",
            every(minutes=20, anchor=ANCHOR),
            carrier=f"api.{carrier}.example", chance={"mrw": 0.9, "gls": 0.3}.get(carrier, 0.02),
            tags=["tracking"], watch=Watch(failing_after=5, overrun_after=60),
        )  # fmt: skip
    for number, domain in enumerate(DOMAINS):
        yield _job(
            f"certificate/{domain}", "platform", "platform.check_certificate",
            cron(f"H({number}-59) 6 * * *", tz="UTC"), domain=domain, tags=["daily"],
        )  # fmt: skip


def added() -> Iterator[Job]:
    """Yield the jobs that people have added."""
    yield from _of_the_shop()
    yield from _of_billing()
    yield from _of_logistics()
    yield from _of_data()
    yield from _of_the_platform()


def _of_the_shop() -> Iterator[Job]:
    for number, warehouse in enumerate(WAREHOUSES):
        yield _job(
            f"sync-stock/{warehouse}", "shop", "shop.sync_stock",
            every(minutes=15, anchor=ANCHOR + timedelta(minutes=number % 4)), warehouse=warehouse,
            tags=["stock"],
        )  # fmt: skip
    for number, channel in enumerate(("google", "meta", "idealo", "kelkoo", "pinterest")):
        yield _job(
            f"feed/{channel}", "shop", "shop.build_feed",
            cron(f"{number * 11} */2 * * *", tz=MADRID), channel=channel, tags=["feeds"],
            overlap="queue",
        )  # fmt: skip
    names = {
        "تذكير-سلة-التسوق": cron("0 10 * * sun-thu", tz="Asia/Riyadh"),
        "תזכורת-עגלה": cron("30 9 * * sun-thu", tz="Asia/Jerusalem"),
        "カート・リマインダー": cron("0 19 * * *", tz=TOKYO),
        "购物车提醒": cron("30 18 * * *", tz="Asia/Shanghai"),
        "장바구니 알림": cron("15 20 * * *", tz="Asia/Seoul"),
        "कार्ट रिमाइंडर": cron("0 11 * * *", tz=KOLKATA),
        "🛒 cart reminder 🎁": cron("0 17 * * *", tz=NEW_YORK),
        "lembrete de carrinho - São João": cron("0 12 * * *", tz=SAO_PAULO),
    }
    for name, trigger in names.items():
        yield _job(name, "shop", "shop.send_reminders", trigger, campaign="carts", tags=["mail"])
    for number, country in enumerate(COUNTRIES):
        yield _job(
            f"newsletter/{country}", "shop", "shop.send_reminders",
            frequency({
                "type": "weekly", "time": f"{9 + number % 4:02}:30", "dayOfWeek": [2, 4],
                "timezone": MADRID,
            }),
            campaign=f"newsletter {country}", tags=["mail", country],
        )  # fmt: skip
    yield _job(
        "black-friday-prices", "shop", "shop.refresh_prices",
        at(datetime(2026, 11, 27, 5, tzinfo=UTC)), source="https://prices.example/bf", chance=0.0,
        tags=["campaign"],
    )  # fmt: skip


def _of_billing() -> Iterator[Job]:
    for number, country in enumerate(COUNTRIES):
        yield _job(
            f"invoices/{country}", "billing", "billing.issue_invoices",
            cron(f"{number * 6} 6,18 * * mon-sat", tz=MADRID).excluding("company holidays"),
            country=country, tags=["invoices", country],
        )  # fmt: skip
    for number, provider in enumerate(("stripe", "adyen", "paypal", "bizum", "klarna")):
        yield _job(
            f"reconcile/{provider}", "billing", "billing.reconcile",
            cron(f"{10 + number * 9} * * * *", tz="UTC").excluding(closed_hours("23:00", "05:00")),
            provider=provider, chance={"klarna": 0.8}.get(provider, 0.03), tags=["payments"],
            watch=Watch(failing_after=3),
        )  # fmt: skip
    for number in range(6):
        yield _job(
            f"dunning/step-{number + 1}", "billing", "shop.send_reminders",
            rrule(f"FREQ=WEEKLY;BYDAY={('MO', 'TU', 'WE', 'TH', 'FR', 'SA')[number]}",
                  start="2026-01-05T09:00", tz=MADRID),
            campaign=f"dunning {number + 1}", tags=["dunning", "mail"],
        )  # fmt: skip
    yield _job(
        "vat-return", "billing", "data.export_report",
        rrule("FREQ=MONTHLY;BYMONTH=1,4,7,10;BYMONTHDAY=20", start="2026-01-20T10:00", tz=MADRID),
        report="vat return", chance=0.0, tags=["quarterly"],
    )  # fmt: skip
    yield _job(
        "first-friday-close", "billing", "data.export_report",
        rrule("FREQ=MONTHLY;BYDAY=1FR", start="2026-01-02T17:00", tz=NEW_YORK),
        report="first friday", chance=0.0, tags=["monthly"],
    )  # fmt: skip


def _of_logistics() -> Iterator[Job]:
    for number, warehouse in enumerate(WAREHOUSES):
        yield _job(
            f"plan-routes/{warehouse}", "logistics", "logistics.plan_routes",
            cron(f"{number * 4} 20 * * *", tz=MADRID).excluding(weekends()), depot=warehouse,
            tags=["routes"],
        )  # fmt: skip
        yield _job(
            f"labels/{warehouse}", "logistics", "logistics.print_labels",
            every(minutes=30 + 5 * number, anchor=ANCHOR),
            printer=f"printer-{number + 1}", tags=["labels"],
            owner="logistics" if number % 2 else "acme-gmbh",
        )  # fmt: skip
    freeze = (datetime(2026, 12, 24, 12, tzinfo=UTC), datetime(2026, 12, 27, tzinfo=UTC))
    yield _job(
        "customs-declarations", "logistics", "data.export_report",
        any_of(cron("0 7 * * mon-fri", tz=MADRID), cron("0 15 * * fri", tz=MADRID))
        .excluding(blackout(freeze)),
        report="customs", chance=0.0, tags=["customs"],
    )  # fmt: skip
    yield _job(
        "hazardous-goods-check", "logistics", "logistics.print_labels",
        all_of(cron("*/20 * * * *", tz="UTC"), cron("* 8-16 * * mon-fri", tz="UTC")),
        printer="office", tags=["customs"],
    )  # fmt: skip
    yield _job(
        "stocktaking", "logistics", "shop.sync_stock",
        calendar(weeks=2, at=("06:00", "22:00"), start=date(2026, 1, 5), tz=MADRID)
        .excluding(dates("12-25", "01-01")),
        warehouse="all", tags=["stock"],
    )  # fmt: skip


def _of_data() -> Iterator[Job]:
    for number, report in enumerate(REPORTS):
        yield _job(
            f"report/{report}", "data", "data.export_report",
            cron(f"{5 + number * 6} 7-19/3 * * *", tz=MADRID), report=report,
            chance={"margins": 1.0, "churn": 0.5}.get(report, 0.03), tags=["reports"],
        )  # fmt: skip
    for number, model in enumerate(("demand", "fraud", "ranking", "prices")):
        yield _job(
            f"train/{model}", "data", "data.train_model",
            every(hours=2, anchor=ANCHOR + timedelta(minutes=20 * number)), model=model,
            tags=["models"], watch=Watch(expected_every=4 * 3600), overlap="queue",
        )  # fmt: skip
    for number, country in enumerate(COUNTRIES):
        yield _job(
            f"views/{country}", "data", "data.load_table",
            cron(f"{number * 3} */3 * * *", tz="UTC"), table=f"views_{country.lower()}",
            chance=0.01, tags=["warehouse", country],
        )  # fmt: skip
    for number in range(1, 17):
        yield _job(
            f"snapshots/eu-{number:02}", "data", "data.load_table",
            cron(f"{number * 3} 1,13 * * *", tz=MADRID), table=f"eu_{number:02}", chance=0.01,
            tags=["warehouse", "snapshots"],
        )  # fmt: skip
    yield _job(
        LONG, "data", "data.export_report", cron("0 4 1 1 *", tz=MADRID), report="audit",
        chance=0.0, tags=["audit", "a-tag-that-is-nearly-as-long-as-the-name-of-this-job-itself"],
    )  # fmt: skip
    yield _job(
        "Zürich ↔ Ouagadougou: äöüß, ñ, ç “quotes” & <b>markup</b>", "data", "data.load_table",
        cron("40 */6 * * *", tz="Africa/Ouagadougou"), table="fx", chance=0.0, tags=["fx"],
    )  # fmt: skip


def _of_the_platform() -> Iterator[Job]:
    for number in range(1, 9):
        yield _job(
            f"purge/shard-{number}", "platform", "platform.purge",
            cron(f"{number * 7} 3 * * *", tz="UTC"), what=f"shard {number}", tags=["purge"],
        )  # fmt: skip
    for number in range(1, 13):
        yield _job(
            f"rotate-logs/web-{number:02}", "platform", "platform.purge",
            cron(f"{number * 4} */4 * * *", tz="UTC"), what=f"logs of web-{number:02}",
            tags=["logs", f"web-{number:02}"],
        )  # fmt: skip


def chained() -> Iterator[Job]:
    """Yield the jobs that run after others: a chain, and a fan that comes together again."""
    chain = ("extract", "clean", "join", "score", "publish")
    yield _job(
        "pipeline/extract", "data", "data.load_table", cron("25 * * * *", tz="UTC"),
        table="raw", chance=0.02, tags=["pipeline"],
    )  # fmt: skip
    for earlier, later in pairwise(chain):
        yield _after(f"pipeline/{later}", [f"pipeline/{earlier}"], table=later)
    for country in COUNTRIES[:6]:
        yield _after(f"pipeline/publish/{country}", ["pipeline/publish"], table=f"pub_{country}")
    yield _after(
        "pipeline/announce", [f"pipeline/publish/{country}" for country in COUNTRIES[:6]],
        table="done",
    )  # fmt: skip
    yield {**_after("pipeline/alarm", ["pipeline/score"], table="alarm"), "on": "failure"}


def _after(job_id: str, parents: list[str], table: str) -> Job:
    job = _job(job_id, "data", "data.load_table", None, table=table, chance=0.02, tags=["pipeline"])
    return {**job, "after": parents}


def _job(job_id: str, team: str, task: str, trigger: Trigger | None, **rest: Any) -> Job:
    options = {"tags", "keep", "watch", "catch_up", "overlap", "owner"}
    chosen = {name: value for name, value in rest.items() if name in options}
    args = {name: value for name, value in rest.items() if name not in options}
    tags = [f"team:{team}", *chosen.pop("tags", [])]
    return {
        "id": job_id, "task": task, "trigger": trigger, "args": args, "tags": tags,
        "owner": team, **chosen,
    }  # fmt: skip
