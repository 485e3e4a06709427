"""The web applications in the README work and serve."""

from __future__ import annotations

import pytest

from tests.support.documents import named
from tests.support.processes import Children

FASTAPI = """
from fastapi.testclient import TestClient
from fastapi_app import app, scheduler

with TestClient(app) as client:
    run_id = client.post("/orders/7/pay").json()["run"]
    assert scheduler.run(run_id).args == {"order": 7}
    assert scheduler.run_now("greet_customers", wait=20).result == {"greeted": 3}
    assert client.get("/duly/").status_code in {200, 401}
    assert scheduler.health().ok
assert scheduler.health().engine == "stopped"
"""
FLASK = """
from flask_app import app, scheduler

run_id = app.test_client().post("/orders/7/pay").json["run"]
assert scheduler.run(run_id).args == {"order": 7}
assert scheduler.health().engine == "stopped", "it started without a server"
with scheduler.running():
    assert scheduler.run_now("tidy_up", wait=20).result == "flask_app"
"""


@pytest.mark.processes
@pytest.mark.parametrize(
    ("name", "script"), [("fastapi_app", FASTAPI), ("flask_app", FLASK)], ids=["fastapi", "flask"]
)
def test_the_application_works(name: str, script: str, children: Children, tmp_path) -> None:
    """The application starts, enqueues a call and runs its job."""
    (tmp_path / f"{name}.py").write_text(named(name).code)
    (tmp_path / "script.py").write_text(script)
    child = children.python(tmp_path / "script.py")
    assert child.wait(timeout=150) == 0, child.output()


@pytest.mark.processes
@pytest.mark.parametrize("workers", [1, 2])
def test_the_fastapi_application_serves(workers: int, children: Children, tmp_path) -> None:
    """The FastAPI application serves under uvicorn and stops without an error."""
    (tmp_path / "fastapi_app.py").write_text(named("fastapi_app").code)
    options = ("--workers", str(workers), "--app-dir", str(tmp_path))
    server = children.uvicorn("fastapi_app:app", *options, ready="/docs")
    server.terminate()
    assert "Traceback" not in server.output()
