"""The daily report of a mess: waste by floor, feedback by meal, and open alerts."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from apps.manageit import mailing
from apps.manageit.database import Cursor, Row
from apps.manageit.services import services


def create(mess: str, day: date) -> bool:
    """Store the report of a mess for a day and enqueue its mails; return whether it was new."""
    with services().database.get_db_cursor() as (cursor, connection):
        report = {"report_date": day, "mess_name": mess, "body": _body(cursor, mess, day)}
        stored = {**report, "body": json.dumps(report["body"])}
        report_id = cursor.insert_new(
            "daily_reports", {**stored, "created_at": services().clock.now()}
        )
        if report_id is None:
            return False
        if services().mailer is not None:
            officials = mailing.addresses(cursor, "mess_official", mess)
            to = [*mailing.addresses(cursor, "admin"), *officials]
            mailing.enqueue(
                cursor, connection, "daily_reports", report_id, to=to, text=as_text(report)
            )
    return True


def _body(cursor: Cursor, mess: str, day: date) -> dict[str, Any]:
    waste = cursor.execute(
        "SELECT floor, SUM(total_waste) AS kg FROM waste_summary"
        " WHERE mess_name = %s AND waste_date = %s GROUP BY floor ORDER BY floor",
        [mess, day],
    ).all()
    feedback = cursor.execute(
        "SELECT meal, rating, rating_count FROM feedback_summary"
        " WHERE mess = %s AND feedback_date = %s ORDER BY meal",
        [mess, day],
    ).all()
    alerts = cursor.execute(
        "SELECT message FROM mess_alerts WHERE mess_name = %s AND open_marker = 1 ORDER BY id",
        [mess],
    ).values()
    return {
        "waste": {row["floor"]: float(row["kg"]) for row in waste},
        "feedback": {
            row["meal"]: {"average": round(float(row["rating"]), 2), "count": row["rating_count"]}
            for row in feedback
        },
        "alerts": alerts,
    }


def of_day(day: date, mess: str | None = None) -> list[Row]:
    """Return the reports of a day, of one mess or of all, each with its ``body`` as values."""
    wanted = "SELECT * FROM daily_reports WHERE report_date = %s"
    values: list[Any] = [day]
    if mess is not None:
        wanted, values = f"{wanted} AND mess_name = %s", [day, mess]
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        rows = cursor.execute(f"{wanted} ORDER BY mess_name", values).all()
    return [{**row, "body": json.loads(row["body"])} for row in rows]


def latest_day(mess: str) -> date | None:
    """Return the day of the newest report of a mess; ``None``: there is none."""
    wanted = "SELECT MAX(report_date) AS newest_date FROM daily_reports WHERE mess_name = %s"
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        found: date | None = cursor.execute(wanted, [mess]).value()
    return found


def as_text(report: Row) -> str:
    """Return a report as the text of a mail."""
    body = report["body"]
    lines = [f"{report['mess_name']}: report of {report['report_date']:%d %B %Y}", "", "Waste"]
    lines += [f"  {floor}: {kg:g} Kg" for floor, kg in body["waste"].items()] or ["  none recorded"]
    lines += ["", "Feedback"]
    lines += [
        f"  {meal}: {each['average']:.2f} ({each['count']} ratings)"
        for meal, each in body["feedback"].items()
    ] or ["  none"]
    lines += ["", "Open alerts", *(f"  {text}" for text in body["alerts"] or ["none"])]
    return "\n".join(lines)
