"""A client that a public generator makes of the OpenAPI document operates a scheduler."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from duly.web import local_key, web_app
from tests.web.site import Site

KEY = "k" * 32
GENERATE = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
CONFIGURATION = "post_hooks: []\n"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_generated_client_lists_creates_pauses_and_runs_a_job(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every operation becomes a module; models carry what the API gives and takes."""
    import httpx

    app = web_app(site.scheduler, access=local_key(key=KEY))
    client = generated_client(site, tmp_path, monkeypatch)
    from starlette.testclient import TestClient

    def answer(request: httpx.Request) -> httpx.Response:
        served = TestClient(app).request(
            request.method,
            request.url.raw_path.decode(),
            content=request.content,
            headers=dict(request.headers),
        )
        return httpx.Response(served.status_code, headers=served.headers, content=served.content)

    http = client.AuthenticatedClient(
        base_url="http://duly.example",
        token=KEY,
        httpx_args={"transport": httpx.MockTransport(answer)},
        raise_on_unexpected_status=True,
    )
    jobs = importlib.import_module("duly_client.api.jobs.list_jobs")
    listed = jobs.sync(client=http)
    assert [job.id for job in listed.items] == ["letter", "prices", "stock"]

    models = importlib.import_module("duly_client.models")
    create = importlib.import_module("duly_client.api.jobs.create_job")
    body = models.NewJob(id="hourly", task="greet", trigger="every hour", tags=["client"])
    job = create.sync(client=http, body=body)
    assert (job.id, job.tags, job.trigger.text) == ("hourly", ["client"], "every hour")

    pause = importlib.import_module("duly_client.api.jobs.pause_job")
    paused = pause.sync("hourly", client=http, body=models.Pause(reason="holidays"))
    assert (paused.state, paused.paused_reason) == ("paused", "holidays")

    run_now = importlib.import_module("duly_client.api.jobs.run_job")
    run = run_now.sync("hourly", client=http, body=models.RunNow())
    site.scheduler.tick()
    show = importlib.import_module("duly_client.api.runs.show_run")
    assert show.sync(run.id, client=http).state == "succeeded"

    problem = show.sync("none", client=http)
    assert isinstance(problem, models.Problem)
    assert (problem.status, problem.type_) == (404, "urn:duly:problem:run-not-found")


def generated_client(site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Generate the client in a folder, and import it."""
    document = site.client("admin").get("/duly/api/openapi.json").json()
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "configuration.yaml").write_text(CONFIGURATION)
    done = subprocess.run(
        [
            *GENERATE, "--path", "openapi.json", "--output-path", "duly_client",
            "--config", "configuration.yaml", "--fail-on-warning",
        ],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module("duly_client")
