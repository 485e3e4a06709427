"""The tables of the reference list exactly what the code has."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import Any, get_type_hints

import pytest

import duly
from duly import CatchUp, Heartbeat, JobDefaults, Retry, Scheduler, Watch, errors
from duly.integrations.answered import ANSWERED
from duly.model.event import KINDS
from duly.model.policy import PROCESS_OPTIONS, TASK_OPTIONS
from duly.operations.process_jobs import REFUSED
from duly.operations.task_function import CallOptions
from duly.store.transaction import ROUTINE
from duly.web.problems import STATUS
from tests.support.sources import ROOT

REFERENCE = ROOT / "docs" / "reference"
SETTINGS = inspect.signature(Scheduler).parameters
WORKED_OUT = {"url", "clock"}
"""Arguments whose default is not a value that a reader would write."""


def test_the_page_of_events_lists_every_kind() -> None:
    """A reader finds each kind of event once, and which of them are not stored."""
    listed = rows("events.md", r"`(\w+\.\w+)`")
    assert sorted(kind for kind, *_ in listed) == sorted(KINDS)
    assert {kind for kind, when, _detail in listed if "not stored" in when} == ROUTINE


def test_the_page_of_options_lists_every_option() -> None:
    """A reader finds each option with its default, and where it may be given."""
    listed = rows("options.md", r"`(\w+)`", "Jobs, tasks and calls")
    options = {field.name: field.default for field in fields(JobDefaults)}
    assert {name: default for name, _, default, _ in listed} == shown(options)
    assert {name for name, where, *_ in listed if "t" in where.split()} == TASK_OPTIONS
    per_call = options.keys() & get_type_hints(CallOptions).keys()
    assert {name for name, where, *_ in listed if "c" in where.split()} == per_call


def test_the_page_of_options_lists_those_of_process_jobs() -> None:
    """Each option of a job is either listed as one of theirs or refused."""
    text = (REFERENCE / "options.md").read_text().split('| option of `scope="process"` |')[1]
    listed = re.findall(r"^\| `(\w+)` \|", text.split("\n\n")[0], re.MULTILINE)
    assert set(listed) == PROCESS_OPTIONS
    assert PROCESS_OPTIONS | REFUSED.keys() >= {field.name for field in fields(JobDefaults)}
    assert not PROCESS_OPTIONS & REFUSED.keys()


@pytest.mark.parametrize("kind", [Retry, CatchUp, Watch, Heartbeat])
def test_the_page_of_options_lists_every_field(kind: type[Any]) -> None:
    """A reader finds each field of a composed option with its default."""
    listed = rows("options.md", r"`(\w+)`", f"`{kind.__name__}`")
    defaults = {name: default for name, default, _ in listed}
    assert defaults == shown({field.name: field.default for field in fields(kind)})


def test_the_page_of_options_lists_every_setting() -> None:
    """A reader finds each argument of `Scheduler` with its default."""
    listed = {name: text for name, text, _ in rows("options.md", r"`(\w+)`", "`Scheduler`")}
    assert listed.keys() == SETTINGS.keys()
    written = {name: found.default for name, found in SETTINGS.items() if name not in WORKED_OUT}
    assert {name: listed[name] for name in written} == shown(written)


def test_the_page_of_errors_lists_every_error() -> None:
    """A reader finds each error with the status by which the API answers."""
    listed = {name: status for name, status, *_ in rows("errors.md", r"`(\w+)`")}
    found = {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.DulyError)
    }
    del found["DulyError"]
    assert listed == {name: status_of(kind) for name, kind in found.items()}


def test_the_page_of_triggers_lists_every_trigger() -> None:
    """A reader finds each function that makes a trigger or an exclusion."""
    text = (REFERENCE / "triggers.md").read_text()
    made = {name for name in duly.__all__ if getattr(duly, name).__module__.startswith("duly.trig")}
    made -= {"Trigger", "explain"}
    assert set(re.findall(r"^\| `(\w+)\(", text, re.MULTILINE)) == made


RECORDS = [kind for name in duly.__all__ if hasattr(kind := getattr(duly, name), "layout")]


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_every_field_of_a_record_is_explained(kind: Any) -> None:
    """The docstring of a record, which is its page in the reference, explains each field."""
    explained = re.findall(r"^    (\w+):", inspect.getdoc(kind) or "", re.MULTILINE)
    assert set(kind.layout.names) - set(explained) == set()


def rows(page: str, first: str, heading: str | None = None) -> list[list[str]]:
    """The cells of the tables on a page, or below a heading, whose first cell matches."""
    text = (REFERENCE / page).read_text()
    if heading is not None:
        text = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" |")]
        name = re.fullmatch(first, cells[0]) if line.startswith("|") else None
        if name:
            found.append([name[1], *cells[1:]])
    return found


def shown(defaults: dict[str, Any]) -> dict[str, str]:
    """Defaults as the page writes them."""
    written = {name: f"{value:g}" for name, value in defaults.items() if type(value) is float}
    texts = {name: f'"{value}"' for name, value in defaults.items() if isinstance(value, str)}
    other = {name: "CatchUp()" for name, value in defaults.items() if isinstance(value, CatchUp)}
    plain = {name: repr(value) for name, value in defaults.items()}
    return {name: f"`{text}`" for name, text in (plain | written | texts | other).items()}


def status_of(kind: type[errors.DulyError]) -> str:
    """The status of an error, with a star if `init_app` answers with it too."""
    status = next(code for base, code in STATUS if issubclass(kind, base))
    return f"{status}\\*" if issubclass(kind, ANSWERED) else str(status)
