"""Secrets in arguments: only their names are stored, and their values leave no trace."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from duly import Discard, Retry, Run, Scheduler, every, secret
from duly.errors import ArgumentsError, ConfigurationError
from duly.model.secrets import Resolve
from duly.web import Principal, web_app
from duly.web.app import ROUTES
from tests.operations.conftest import Make, clock, make
from tests.store.conftest import everything
from tests.support.databases import ON_SQLITE

__all__ = ["clock", "make"]

CANARY = "c4n4ry/\"ü' +&=-51\\end"
"""A value that looks different in JSON, in a repr, in a URL and in base64."""
NAME = "DULY_TEST_CANARY"
LOG = logging.getLogger("shop")


class Account(BaseModel):
    user: str
    password: str


def let_out(key: str, run: Run, outcome: str) -> dict[str, Any]:
    """Log a value, report it, and return it or raise it: in every form that is common."""
    assert key == CANARY
    run.log.info("the key is %s", key)
    run.log.debug("and %r", [key])
    run.log.warning("with a field", extra={"url": f"https://x.example/?k={key}"})
    LOG.warning("a library logs %s", json.dumps({"key": key}))
    try:
        raise LookupError(key)
    except LookupError:
        LOG.exception("a library logs an error")
        run.log.exception("and so does the function")
    run.progress(1, 2, f"halfway with {key}")
    run.count(**{key: 1})
    for item in run.track([key]):
        with item as row:
            raise KeyError(row)
    if outcome == "result":
        return {"key": key, key: [key, f"Bearer {key}", base64.b64encode(key.encode()).decode()]}
    if outcome == "discard":
        raise Discard(f"refused: {key}")
    long = "x" * 1_990 + key + "x" * 4_000  # it would be cut in the middle of the value
    raise {"error": ValueError, "long": RuntimeError}[outcome](long if outcome == "long" else key)


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """What the application's own handler has written, formatted and raw."""
    stream = io.StringIO()

    class Raw(logging.StreamHandler[io.StringIO]):
        def emit(self, record: logging.LogRecord) -> None:
            super().emit(record)
            stream.write(repr(vars(record)) + repr(record.exc_info))

    handler = Raw(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    level, root.level = root.level, logging.DEBUG
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def scheduler(make: Make, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """One with a task for each way to execute, and the canary in its environment."""
    monkeypatch.setenv(NAME, CANARY)
    scheduler = make()

    @scheduler.task(retry=Retry(attempts=2, wait=0, jitter=0))
    def plain(key: str, run: Run, outcome: str) -> dict[str, Any]:
        return let_out(key, run, outcome)

    @scheduler.task()
    async def coroutine(key: str, run: Run, outcome: str) -> dict[str, Any]:
        return let_out(key, run, outcome)

    @scheduler.task(transactional=True)
    def transactional(key: str, run: Run, outcome: str, session: Session) -> dict[str, Any]:
        session.execute(text("select 1"))
        return let_out(key, run, outcome)

    @scheduler.task()
    def nested(account: Account, headers: dict[str, str], keys: list[str], run: Run) -> str:
        assert [account.password, headers["X/~Key"], keys[1]] == [CANARY] * 3
        return let_out(keys[1], run, "result")["key"]

    return scheduler


def traces(where: str) -> list[str]:
    """The forms of the canary that a text contains."""
    forms = {
        CANARY, repr(CANARY)[1:-1], json.dumps(CANARY)[1:-1], "c4n4ry",
        base64.b64encode(CANARY.encode()).decode(),
    }  # fmt: skip
    return [form for form in forms if form in where]


def refuse_traces(scheduler: Scheduler, output: io.StringIO, run_id: str) -> None:
    """Search every table and the log output; on SQLite every page and every answer of the API too.

    What these show is in the tables, whichever database has them.
    """
    for table, rows in everything(scheduler.store).items():
        assert traces(repr(rows)) == [], table
    assert traces(output.getvalue()) == []
    if scheduler.store.dialect.name == "sqlite":
        refuse_traces_on_the_web(scheduler, run_id)


def refuse_traces_on_the_web(scheduler: Scheduler, run_id: str) -> None:
    web = web_app(scheduler, access=lambda _request: Principal("ana", "admin"))
    seen = 0
    with TestClient(Starlette(routes=[Mount("/duly", web)])) as client:
        for route in ROUTES:
            if route.method != "GET" or "stream" in route.path:
                continue
            path = route.path
            for name, value in (("run_id", run_id), ("job_id", "leaky"), ("task", "plain")):
                path = path.replace(f"{{{name}}}", value)
            answer = client.get(f"/duly{path}")
            assert traces(answer.text) == [], path
            seen += answer.status_code == 200
    assert seen > 10


@pytest.mark.parametrize("outcome", ["result", "error", "long", "discard"])
@pytest.mark.parametrize("task", ["plain", "coroutine", "transactional"])
def test_a_canary_leaves_no_trace(
    scheduler: Scheduler, output: io.StringIO, task: str, outcome: str
) -> None:
    """The function has received the value, and has let it out in every way."""
    scheduler.add(task, every(hours=1), id="leaky", args={"key": secret(NAME), "outcome": outcome})
    run_id = scheduler.run_now("leaky").id
    scheduler.run_due()
    run = scheduler.run(run_id)
    assert run.state == {"result": "succeeded", "discard": "discarded"}.get(outcome, "failed")
    assert run.args == {"key": f"${{{NAME}}}", "outcome": outcome, "$secrets": {"/key": NAME}}
    assert any("the key is [hidden]" in line.message for line in scheduler.run_log(run_id))
    assert "[hidden]" in output.getvalue()
    if outcome == "result":
        assert run.result["key"] == "[hidden]"
    refuse_traces(scheduler, output, run_id)


@ON_SQLITE
@pytest.mark.processes
@pytest.mark.parametrize("outcome", ["result", "error"])
@pytest.mark.parametrize("source", ["environment", "function", "closure"])
def test_a_canary_leaves_no_trace_from_another_process(  # noqa: PLR0917 - fixtures
    make: Make,
    output: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    source: str,
    outcome: str,
) -> None:
    """It is resolved in the child, unless only this process can resolve it."""
    from tests.worker import process_tasks

    if source == "environment":
        monkeypatch.setenv(NAME, CANARY)
    sources: dict[str, Resolve | None] = {
        "environment": None,
        "function": find,
        "closure": partial(find),
    }
    scheduler = make(secrets=sources[source])
    scheduler.task(executor="process")(process_tasks.leak)
    run_id = scheduler.enqueue("leak", key=secret(NAME), outcome=outcome)
    scheduler.run_due()
    assert scheduler.run(run_id).state == ("succeeded" if outcome == "result" else "failed")
    assert any("[hidden]" in line.message for line in scheduler.run_log(run_id))
    refuse_traces(scheduler, output, run_id)
    assert traces("".join(capfd.readouterr())) == []


def find(name: str) -> str | None:
    """Return the canary, as a vault would."""
    return CANARY if name == NAME else None


def test_a_secret_is_passed_inside_models_dicts_and_lists(
    scheduler: Scheduler, output: io.StringIO
) -> None:
    """Wherever there is text; a position with ``/`` and ``~`` is found again."""
    run_id = scheduler.enqueue(
        "nested",
        args={
            "account": Account(user="ana", password=secret(NAME)),
            "headers": {"X/~Key": secret(NAME)},
            "keys": ["a", secret(NAME)],
        },
    )
    assert scheduler.run(run_id).args["$secrets"] == {
        "/account/password": NAME, "/headers/X~1~0Key": NAME, "/keys/1": NAME,
    }  # fmt: skip
    scheduler.run_due()
    assert scheduler.run(run_id).result == "[hidden]"
    refuse_traces(scheduler, output, run_id)


@pytest.mark.parametrize(
    "alike",
    ["${HOME}", "secret('HOME')", {"$secret": "HOME"}, {"$secrets": {"/value": "HOME"}}],
)
def test_values_that_look_alike_stay_what_they_are(make: Make, alike: Any) -> None:
    """Only `secret` makes a reference."""
    scheduler = make()

    @scheduler.task()
    def echo(value: Any) -> Any:
        return value

    run_id = scheduler.enqueue("echo", value=alike)
    scheduler.run_due()
    assert scheduler.run(run_id).result == alike


def test_the_arguments_of_a_record_can_be_given_back(scheduler: Scheduler) -> None:
    """As a client of the REST API does, which read them from there."""
    scheduler.add("plain", every(hours=1), id="j", args={"key": secret(NAME), "outcome": "x"})
    shown = scheduler.job("j").to_dict()["args"]
    scheduler.edit("j", args=shown | {"outcome": "result"})
    scheduler.run_now("j")
    scheduler.run_due()
    assert scheduler.runs(job="j")[0].state == "succeeded"


@pytest.mark.parametrize(
    ("resolve", "problem"),
    [
        (lambda _name: None, "is not set in this process"),
        (lambda _name: 7, "is not set in this process"),
        (lambda name: {"": ""}[f"{CANARY} {name}"], "could not be resolved: KeyError"),
    ],
)
def test_a_missing_secret_fails_the_run_by_its_name(
    make: Make, output: io.StringIO, resolve: Any, problem: str
) -> None:
    """The function is not called, and what the vault's error says is not repeated."""
    scheduler = make(secrets=resolve)

    @scheduler.task()
    def never(key: str) -> None:
        raise AssertionError

    run_id = scheduler.enqueue("never", key=secret(NAME))
    scheduler.run_due()
    run = scheduler.run(run_id)
    assert (run.state, run.error_type) == ("failed", "SecretError")
    assert f"secret {NAME!r} {problem}" in (run.error_message or "")
    refuse_traces(scheduler, output, run_id)


def test_a_secret_is_resolved_at_each_attempt(make: Make) -> None:
    """So a value that is replaced meanwhile is used by the next."""
    values = iter(["old", "new"])
    scheduler = make(secrets=lambda _name: next(values))
    seen: list[str] = []

    @scheduler.task(retry=Retry(attempts=2, wait=0, jitter=0))
    def send(key: str) -> None:
        seen.append(key)
        if key == "old":
            raise PermissionError

    scheduler.enqueue("send", key=secret("K"))
    scheduler.run_due()
    assert seen == ["old", "new"]


@pytest.mark.parametrize(
    "args",
    [
        {"key": f"Bearer {secret(NAME)}", "outcome": "x"},
        {"key": "x", "outcome": "x", "$secrets": {"/nothing": NAME}},
        {"key": "x", "outcome": "x", "$secrets": {"key": NAME}},
        {"key": "x", "outcome": "x", "$secrets": [NAME]},
        {"key": "x", "outcome": secret},
    ],
)
def test_what_is_not_a_whole_value_is_refused(scheduler: Scheduler, args: Any) -> None:
    """Nothing is stored."""
    with pytest.raises(ArgumentsError):
        scheduler.enqueue("plain", args=args)
    assert scheduler.runs() == []


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 192, None, 7])
def test_a_name_that_is_not_valid_is_refused(name: Any) -> None:
    """Where it is written."""
    with pytest.raises(ConfigurationError, match="secret"):
        secret(name)


def test_a_source_that_is_not_a_function_is_refused(make: Make) -> None:
    """And its value is not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        make(secrets={NAME: CANARY})
    assert traces(str(caught.value)) == []
