"""``duly demo``: the sample application, as a process."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Child, Children, status
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
CALL = "from duly.cli.main import main; main(prog_name='duly')"
JOBS = {
    *("take_orders", "import_prices", "book_parcels", "render_catalogue", "publish_catalogue"),
    *("tell_warehouse", "back_up", "newsletter"),
}
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def demo(children: Children, *options: str) -> tuple[Child, str, str]:
    """Start the demo; return it with its address and its key."""
    child = children.python("-c", CALL, "demo", "--port", "0", *options)
    match = child.wait_for(r"dashboard +(http://127\.0\.0\.1:\d+)/\?key=(\S+)")
    return child, match[1], match[2]


def ask(address: str, key: str, path: str) -> Any:
    """Return what the REST API answers."""
    request = urllib.request.Request(
        f"{address}/api/v1/{path}", headers={"authorization": f"Bearer {key}"}
    )
    with opener.open(request, timeout=30) as answer:
        return json.load(answer)


def test_the_demo_shows_what_jobs_do(children: Children) -> None:
    """Jobs of the demo succeed, are retried, fail, run with progress, and follow each other."""
    child, address, key = demo(children)
    assert status(address + "/") == 401
    browser = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor()
    )
    with browser.open(f"{address}/?key={key}", timeout=30) as page:
        assert "Jobs" in page.read().decode()
    assert {job["id"] for job in ask(address, key, "jobs")["items"]} == JOBS

    def find(job: str, state: str) -> dict[str, Any]:
        runs = ask(address, key, f"jobs/{job}/runs")["items"]
        return next((run for run in runs if run["state"] == state), {})

    wait_until(lambda: find("take_orders", "succeeded"))
    wait_until(lambda: find("render_catalogue", "running").get("progress"))
    wait_until(lambda: find("book_parcels", "failed"))
    wait_until(lambda: find("tell_warehouse", "succeeded").get("parent_run_id"))
    wait_until(lambda: find("import_prices", "succeeded").get("attempt") == 3)
    child.signal(signal.SIGINT)
    assert child.wait() == 0, child.output()
    assert child.output().endswith("Stopped.\n")
    assert "Traceback" not in child.output()
    database = re.search(r"on sqlite:///(\S+)", child.output())
    assert database is not None
    assert not Path(database[1]).parent.exists()


def test_the_database_of_the_demo_can_be_kept(children: Children, tmp_path: Path) -> None:
    """``--db`` names a file that remains; a port that is taken is one line and exit code 1."""
    child, address, _key = demo(children, "--db", "shop.db")
    port = address.rpartition(":")[2]
    second = children.python("-c", CALL, "demo", "--port", port)
    assert second.wait() == 1
    assert re.fullmatch(rf"duly: port {port} of 127.0.0.1: .*; try --port 0\n", second.output()), (
        second.output()
    )
    assert child.terminate() == 0, child.output()
    with sqlite3.connect(tmp_path / "shop.db") as conn:
        assert conn.execute("select count(*) from duly_job").fetchone() == (len(JOBS),)
