"""What Prometheus is told of the messes."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apps.manageit import messes
from apps.manageit.services import services


class Messes(Collector):
    """A collector that reads the database whenever it is asked, in the application context."""

    def collect(self) -> Iterator[Metric]:
        """Return the open alerts, the age of the alerts, and the notices that are not mailed."""
        opened = GaugeMetricFamily("manageit_open_alerts", "Open alerts", labels=["mess"])
        age = GaugeMetricFamily(
            "manageit_alerts_age_seconds", "Time since alerts were generated", labels=["mess"]
        )
        now, counts = services().clock.now(), _open_alerts()
        for mess in messes.active():
            opened.add_metric([mess["name"]], counts.get(mess["name"], 0))
            if mess["alerts_generated_at"] is not None:
                passed = now - mess["alerts_generated_at"]
                age.add_metric([mess["name"]], passed.total_seconds())
        unsent = GaugeMetricFamily("manageit_unsent_notices", "Notices that wait to be mailed")
        unsent.add_metric([], _unsent_notices())
        yield from (opened, age, unsent)


def _open_alerts() -> dict[str, int]:
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        rows = cursor.execute(
            "SELECT mess_name, COUNT(*) AS alerts FROM mess_alerts"
            " WHERE open_marker = 1 GROUP BY mess_name"
        ).all()
    return {row["mess_name"]: row["alerts"] for row in rows}


def _unsent_notices() -> int:
    with services().database.get_db_cursor(write=False) as (cursor, _connection):
        wanted = "SELECT COUNT(*) FROM notifications WHERE email_status IN ('pending', 'failed')"
        return int(cursor.execute(wanted).value())
