"""The REST API tells how many runs have ended, by outcome, and how late they started."""

from __future__ import annotations

from tests.web.site import API, Client, Site


def test_the_throughput_of_a_window_is_a_series_of_periods(site: Site) -> None:
    """A viewer may read it: evenly spaced periods, with counts and lateness."""
    site.forward(60)
    viewer = site.client("viewer")
    found = viewer.api("/throughput", window="1h")
    ended = [period for period in found["periods"] if period["outcomes"]]
    assert (found["window"], found["seconds"], len(found["periods"])) == ("1h", 60, 60)
    assert [period["outcomes"] for period in ended] == [found["outcomes"]]
    assert found["outcomes"] == {"failed": 1, "missed": 5, "succeeded": 1}
    assert ended[0]["lateness_p50"] == found["lateness_p99"] == 0.01
    assert viewer.api("/throughput")["window"] == "24h"


def test_only_known_windows_are_answered(site: Site) -> None:
    """Each has its own sums; others cannot be read without reading runs."""
    assert (
        site.client("viewer").get(f"{API}/throughput", params={"window": "2h"}).status_code == 422
    )


def test_the_throughput_is_not_told_to_users_of_some_owners(site: Site) -> None:
    """The sums do not know whose the runs were."""
    restricted = Client(site.app, "viewer", "ana")
    assert restricted.get(f"{API}/throughput").status_code == 403
