"""``duly next`` and ``duly explain``: what a trigger does, before a job uses it."""

from __future__ import annotations

import json
from typing import Any

import click

from duly.cli.inputs import parse_instant
from duly.triggers import Explanation, Trigger, decode, explain, parse_trigger

MAX_FIRES = 1000
_ARGUMENT = click.argument("trigger", metavar="TRIGGER")
_OPTIONS = (
    click.option("--tz", default="UTC", show_default=True, help="Time zone, such as Europe/Madrid"),
    click.option("--after", metavar="INSTANT", help="ISO 8601 with an offset; default: now"),
    click.option("--json", "as_json", is_flag=True, help="Print JSON"),
    click.option(
        "-n",
        "count",
        type=click.IntRange(1, MAX_FIRES),
        default=10,
        show_default=True,
        help="Number of fires",
    ),
)


def _options(command: Any) -> Any:
    for option in (*_OPTIONS, _ARGUMENT):
        command = option(command)
    return command


@click.command("next")
@_options
def next_command(trigger: str, count: int, tz: str, after: str | None, as_json: bool) -> None:
    """Print the next fires of TRIGGER.

    TRIGGER is a crontab expression ("0 9 * * 1-5", "@daily"), an interval ("every 5 minutes"), a
    rule ("FREQ=DAILY"), or the JSON form of a trigger, as in the REST API.
    """
    explanation = _explain(trigger, count, tz, after)
    fires = [fire for fire in explanation.fires if "excluded" not in fire.marks]
    if as_json:
        click.echo(json.dumps([fire.instant.isoformat() for fire in fires]))
        return
    for fire in fires:
        click.echo(f"{fire.local:%a %Y-%m-%d %H:%M:%S %z}  {fire.instant:%Y-%m-%dT%H:%M:%SZ}")
    if not fires:
        click.echo("never fires again")


@click.command("explain")
@_options
def explain_command(trigger: str, count: int, tz: str, after: str | None, as_json: bool) -> None:
    """Explain TRIGGER in English, with its next fires and possible surprises.

    Fires affected by a clock change or a calendar are marked. TRIGGER: see "duly next --help".
    """
    explanation = _explain(trigger, count, tz, after)
    click.echo(json.dumps(_plain(explanation), indent=2) if as_json else str(explanation))


def _explain(text: str, count: int, tz: str, after: str | None) -> Explanation:
    return explain(_read(text, tz), parse_instant(after, "--after"), count, tz=tz)


def _read(text: str, tz: str) -> Trigger:
    return decode(text) if text.lstrip().startswith("{") else parse_trigger(text, tz=tz)


def _plain(explanation: Explanation) -> dict[str, Any]:
    return {
        "text": explanation.text,
        "crontab": explanation.crontab,
        "tz": explanation.tz,
        "fires": [
            {
                "instant": fire.instant.isoformat(),
                "local": fire.local.isoformat(),
                "marks": list(fire.marks),
                "note": fire.note,
            }
            for fire in explanation.fires
        ],
        "warnings": list(explanation.warnings),
    }
