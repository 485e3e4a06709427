"""What queries return can be returned by an endpoint, and is shown in one way everywhere."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from types import GenericAlias
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask, jsonify
from pydantic import BaseModel, TypeAdapter

import duly
from duly import JobRecord, Run, RunRecord, Scheduler, VirtualClock, cron, every
from duly.integrations.fastapi import init_app
from duly.integrations.flask import init_app as init_flask
from duly.model.record import Record
from duly.web import Principal

RECORDS = {
    name: value
    for name in duly.__all__
    if isinstance(value := getattr(duly, name), type) and issubclass(value, Record)
}


@pytest.fixture
def scheduler(prepared_sqlite_url: str) -> Iterator[Scheduler]:
    """A scheduler with a job, a succeeded run and a failed one, all with secrets."""
    made = Scheduler(prepared_sqlite_url, clock=VirtualClock(), timezone="Europe/Madrid")

    @made.job(
        every(seconds=10),
        id="stock",
        args={"token": "hunter2x"},
        ping="http://127.0.0.1:9/hunter2x",
    )
    def stock(run: Run, token: str) -> dict[str, str]:
        run.log.info("password=%s", "hunter2x")
        run.progress(1, 2, "token=hunter2x")
        return {"api_key": "hunter2x", "counted": "7"}

    @made.job(cron("0 9 * * 1-5"), id="fails", tags=["mail"])
    def fails() -> None:
        raise ConnectionError("no answer from http://ana:hunter2x@example.org")

    made.tick()
    for job in ("stock", "fails"):
        made.run_now(job)
    made.tick()
    yield made
    made.stop()


def records(scheduler: Scheduler) -> dict[str, Any]:
    """Records of several kinds, by their paths in the REST API."""
    run = scheduler.runs(job="fails")[0]
    return {
        "/jobs/stock": scheduler.job("stock"),
        "/jobs/fails": scheduler.job("fails"),
        f"/runs/{run.id}": run,
        f"/runs/{run.id}/attempts": scheduler.attempts(run.id),
        f"/runs/{scheduler.runs(job='stock')[0].id}/log": scheduler.run_log(
            scheduler.runs(job="stock")[0].id
        ),
        "/workers": scheduler.workers(),
        "/queues": scheduler.status().queues,
        "/status": scheduler.status(),
        "/health/details": scheduler.health(),
        "/jobs": scheduler.jobs(),
        "/runs": scheduler.runs(),
        "/events": scheduler.events(),
    }


def shown(value: Any) -> Any:
    return [each.to_dict() for each in value] if isinstance(value, list) else value.to_dict()


def test_U22_a_record_shows_what_the_rest_api_gives(scheduler: Scheduler) -> None:
    """``to_dict()`` equals the response of the REST API, for every kind of record."""
    app = FastAPI()
    init_app(app, scheduler, web="/duly", access=lambda _request: Principal("ana", "viewer"))
    client = TestClient(app)
    for path, value in records(scheduler).items():
        answer = client.get(f"/duly/api/v1{path}")
        body = answer.json()
        given = body["items"] if isinstance(body, dict) and "items" in body else body
        if path == "/health/details":
            given["last_tick_age"] = value.last_tick_age  # it grows meanwhile
        assert given == shown(value), path
        assert "hunter2x" not in answer.text


def test_U22_endpoints_of_fastapi_return_records(scheduler: Scheduler) -> None:
    """As they are, in lists and dicts, with and without a response annotation."""

    class Answer(BaseModel):
        job: JobRecord
        runs: list[RunRecord]

    app = FastAPI()
    job, runs = scheduler.job("stock"), scheduler.runs()
    app.get("/bare", response_model=None)(lambda: job)
    app.get("/bare-list", response_model=None)(lambda: {"runs": runs})
    app.get("/annotated", response_model=JobRecord)(lambda: job)
    app.get("/list", response_model=list[RunRecord])(lambda: runs)
    app.get("/dict", response_model=dict[str, Any])(lambda: {"runs": runs})
    app.get("/model", response_model=Answer)(lambda: Answer(job=job, runs=runs))
    client = TestClient(app)
    listed = shown(runs)
    assert client.get("/bare").json() == client.get("/annotated").json() == job.to_dict()
    assert client.get("/list").json() == listed
    assert client.get("/bare-list").json() == client.get("/dict").json() == {"runs": listed}
    assert client.get("/model").json() == {"job": job.to_dict(), "runs": listed}
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["RunRecord"]["properties"]["duration"]["anyOf"][0] == {"type": "number"}
    assert set(schemas["JobRecord"]["properties"]) == set(job.to_dict())


def test_U22_flask_writes_records(scheduler: Scheduler) -> None:
    """``jsonify(jobs)``, and a view that returns a dict."""
    app = Flask("shop")
    init_flask(app, scheduler, start=False)
    jobs = scheduler.jobs()
    app.add_url_rule("/list", "list", lambda: jsonify(jobs))
    app.add_url_rule("/dict", "dict", lambda: {"jobs": jobs})
    client = app.test_client()
    assert client.get("/list").json == shown(jobs)
    assert client.get("/dict").json == {"jobs": shown(jobs)}


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_U22_every_public_record_is_a_field_of_a_model(name: str) -> None:
    """Pydantic knows what it shows, without an instance."""
    listed: Any = GenericAlias(list, (RECORDS[name],))
    assert name in TypeAdapter(listed).json_schema(mode="serialization")["$defs"]
    assert TypeAdapter(RECORDS[name]).json_schema()["properties"]


def test_U22_every_class_of_the_reference_of_records_is_one() -> None:
    """None of them is left out."""
    assert set(RECORDS) == {
        *("AttemptRecord", "Backfill", "Event", "Finding", "Health", "JobRecord", "KeyLimit"),
        *("LogLine", "MissedRange", "Progress", "QueueStatus", "RunRecord", "Status", "Step"),
        *("ProcessJobRecord", "Stopped", "WorkerRecord", "KeyRecord", "BulkResult", "DeadLetters"),
        *("Counts", "Load", "OutcomeCount", "QueueCounts", "Throughput", "ThroughputPeriod"),
        *("Attention", "Concern", "RunCounts", "UnfinishedRuns", "BackfillProgress"),
        *("JobDeclaration", "JobLink", "Neighbours", "RunOutcome", "SyncResult"),
    }


def test_records_stay_values(scheduler: Scheduler) -> None:
    """They can be compared, copied, sent to another process and changed in a copy."""
    for value in records(scheduler).values():
        for each in value if isinstance(value, list) else [value]:
            assert copy.deepcopy(each) == each == pickle.loads(pickle.dumps(each))
            assert dict(each) == each.to_dict() == json.loads(json.dumps(each.to_dict()))
            assert each.redacted().to_dict() == each.to_dict()
            with pytest.raises(AttributeError):
                setattr(each, next(iter(each.to_dict())), 7)
    run = scheduler.runs()[0]
    assert run.replace(queue="mail").queue == "mail"
    assert "hunter2x" not in str(scheduler.job("stock").redacted().args)
