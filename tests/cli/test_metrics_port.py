"""``duly run --metrics-port``: metrics of processes that serve no web application."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import httpx2
import pytest

from tests.support.processes import Children

pytestmark = [pytest.mark.processes, pytest.mark.timeout(200)]
APP = """
from duly import Scheduler
scheduler = Scheduler("sqlite:///app.db")
scheduler.task(name="work")(lambda: None)
"""
CALL = "from duly.cli.main import main; main(prog_name='duly')"
SERVING = r"Serving metrics on http://127.0.0.1:(\d+)/metrics"


def scrape(port: int) -> str:
    address = f"http://127.0.0.1:{port}/metrics"
    return httpx2.get(address, trust_env=False, timeout=30).text


def test_a_worker_serves_its_metrics(children: Children, tmp_path: Path) -> None:
    """On the loopback address, until it stops."""
    (tmp_path / "jobs.py").write_text(APP)
    child = children.python("-c", CALL, "run", "jobs:scheduler", "--metrics-port", "0")
    port = int(child.wait_for(SERVING)[1])
    assert 'duly_worker_slots{queue="default"} 10.0' in scrape(port)
    child.signal(signal.SIGTERM)
    assert child.wait(timeout=60) == 0
    with pytest.raises(httpx2.ConnectError):
        scrape(port)


def test_each_supervised_process_has_a_port_of_its_own(children: Children, tmp_path: Path) -> None:
    """The given one, and those after it."""
    (tmp_path / "jobs.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        first = probe.getsockname()[1]
    command = ("worker", "jobs:scheduler", "--processes", "2", "--metrics-port", str(first))
    child = children.python("-c", CALL, *command)
    for number in (1, 2):
        child.wait_for(rf"Process {number} \(pid \d+\) has started")
    for port in (first, first + 1):
        assert "duly_worker_step_seconds_count" in scrape(port)
    child.signal(signal.SIGTERM)
    assert child.wait(timeout=60) == 0


def test_a_port_that_is_taken_is_an_error(children: Children, tmp_path: Path) -> None:
    """In one line that names it."""
    (tmp_path / "jobs.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        child = children.python("-c", CALL, "run", "jobs:scheduler", "--metrics-port", str(port))
        assert child.wait(timeout=60) == 2
    assert f"metrics cannot be served on 127.0.0.1:{port}" in child.output()
    assert "Traceback" not in child.output()
