"""``duly jobs diff``: what the next start of an application would change of its stored jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import click

from duly.cli.application import app_dir_option, application_argument, load_scheduler
from duly.cli.lazy import DIFFERS
from duly.cli.logs import configure_logging
from duly.cli.output import print_json
from duly.errors import SchemaError
from duly.model import payload
from duly.model.text import printable
from duly.operations.definition import Definition, declaration_text
from duly.scheduler import Scheduler
from duly.store import jobs
from duly.store.rows import JobRow, overridden

Kind = Literal["added", "changed", "orphaned", "overridden"]


@dataclass(frozen=True, slots=True)
class Difference:
    """How the code and the database differ about one job.

    Attributes:
        job: the id of the job.
        kind: ``added``: code declares it, and it is not stored; ``changed``: its declaration has
            changed; ``orphaned``: it is stored, and code no longer declares it; ``overridden``:
            fields were edited by hand, and keep these values whatever code declares.
        fields: for each field that has changed, the stored and the declared value; for each that
            was edited by hand, nothing.
    """

    job: str
    kind: Kind
    fields: dict[str, dict[str, Any]] = field(default_factory=dict)


@click.command("diff")
@application_argument
@app_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON")
def diff_command(app: str, app_dir: str, *, as_json: bool) -> None:
    """Compare the jobs that the code of APP declares with those that are stored.

    It prints what the next start would add, change and leave without a declaration, and which
    fields were edited by hand. Nothing is written. APP: see "duly run --help".

    Exit codes: 0 a start would change nothing, 6 it would, 1 the database does not respond or has
    no tables, or APP could not be loaded, 2 an argument is wrong.
    """
    scheduler = load_scheduler(app, app_dir)
    configure_logging("warning", as_json=as_json)
    try:
        found = list(_compare(scheduler))
    finally:
        scheduler.store.dispose()
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        for line in (line for each in found for line in _lines(each)):
            click.echo(line)
    raise SystemExit(DIFFERS if any(each.kind != "overridden" for each in found) else 0)


def _compare(scheduler: Scheduler) -> Iterator[Difference]:
    """Yield the differences, in the order of the jobs' ids."""
    store, wanted = scheduler.store, {job.id: job for job in scheduler.declared()}
    if not store.is_current():
        raise SchemaError(f"Duly's tables in {store} do not exist, or are of another version")
    with store.read() as conn:
        rows = {row.id: row for row in jobs.declared_by(conn, scheduler.settings.name)}
        rows |= {row.id: row for row in jobs.find_many(conn, wanted)}
    for job_id in sorted({*wanted, *rows}):
        definition, row = wanted.get(job_id), rows.get(job_id)
        if definition is None:
            yield Difference(job_id, "orphaned")
        elif row is None:
            yield Difference(job_id, "added")
        else:
            yield from _differences(definition, row)


def _differences(definition: Definition, row: JobRow) -> Iterator[Difference]:
    declared = _flat(payload.decode(declaration_text(definition)))
    stored = _flat(payload.decode(row.declared)) if row.declared else {}
    changed = {
        name: {"stored": stored.get(name), "declared": declared.get(name)}
        for name in sorted({*stored, *declared})
        if stored.get(name) != declared.get(name)
    }
    if changed:
        yield Difference(row.id, "changed", changed)
    if edited := overridden(row):
        yield Difference(row.id, "overridden", {name: {} for name in edited})


def _flat(declaration: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a declaration, each option being one; trigger and options are JSON."""
    values = {name: _decoded(value) for name, value in declaration.items()}
    options = values.pop("options") or {}  # `None`: all have their defaults
    return {**values, **{f"options.{name}": value for name, value in options.items()}}


def _decoded(value: Any) -> Any:
    return payload.decode(value) if isinstance(value, str) and value[:1] in "{[" else value


def _lines(difference: Difference) -> Iterator[str]:
    yield f"{difference.kind}\t{printable(difference.job)}"
    for name, values in difference.fields.items():
        if values:
            yield f"\t{name}: {_shown(values['stored'])} -> {_shown(values['declared'])}"
        else:
            yield f"\t{name}"


def _shown(value: Any) -> str:
    return "-" if value is None else printable(payload.encode(value))
