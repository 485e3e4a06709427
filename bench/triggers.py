"""F6: microseconds per next fire, and per reading of a cron, against the peers of ``peers.txt``.

All libraries run in one process, one after the other within each repetition, on the same instants
and expressions; the figure is the median of the repetitions, in processor time, so that other load
on the machine matters little. *Sequential* asks for the fire after the last one, 1,000 times, as a
scheduler does; *random* asks at 1,000 instants between 2000 and 2035. Every line also compares the
fires themselves: a peer that disagrees is marked with a star. cronsim has no call for "the next
after this instant", so its random figure includes reading the expression, as any user of it would
pay. *Reading* takes 1,000 texts that were not read before, new ones in each repetition.
With ``--repeat 1`` nothing is warm: the clock changes of each zone are still to be found.

    python -m bench.triggers [--repeat 5] [--clock-changes]

The peers are installed into ``var/bench`` when first needed. ``--clock-changes`` prints,
instead of times, when each library fires around clock changes: the table of
``docs/guides/clock_changes.md``.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import count, islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bench.contenders.cron_libraries import (
    START,
    TICK,
    APScheduler,
    Croniter,
    CronSim,
    Duly,
    Fires,
)
from bench.support.contender import CannotRun, Contender
from bench.support.environments import ROOT, interpreter, variables
from bench.support.figures import Figures
from bench.support.line import DULY, Line
from bench.support.options import Options

DEFAULTS = Options(repeat=5)
SHORT = Options(repeat=2)
EXPRESSIONS = ("*/5 * * * *", "0 9 * * 1-5", "30 2 29 2 *", "0 0 L * *", "*/10 * * * * *")
ZONES = ("UTC", "America/New_York")
UTC_ZONE = ZoneInfo("UTC")
COUNT = 1000

Measured = Callable[[Any], Fires]


def main() -> None:
    """Install the environment of the peers, and run there."""
    options = _options()
    python = interpreter("peers")
    if Path(sys.executable) != python:
        command = [str(python), "-m", "bench.triggers", *sys.argv[1:]]
        sys.exit(subprocess.call(command, env=variables(), cwd=ROOT))
    if options.clock_changes:
        _print_clock_changes(_libraries())
    else:
        compare(options.repeat)


def measure(options: Options) -> Iterator[Line]:
    """Yield two lines: the mean and the worst case of all expressions."""
    mean = Line("F6", "next fire, geometric mean", "-", "≥ 3 x", "x")
    worst = Line("F6", "next fire, worst case", "-", "never slower", "x")
    try:
        figures = Contender(DULY, "triggers", "peers").call("compare", repeat=options.repeat)
    except CannotRun as error:
        mean.troubles[DULY] = str(error)
    else:
        mean.figures = {DULY: figures["mean"], "the fastest of three": 1}
        worst.figures = {DULY: figures["least"], "the fastest of three": 1}
    yield mean
    yield worst


def _libraries() -> list[Any]:
    return [Duly(), CronSim(), APScheduler(), Croniter()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--clock-changes", action="store_true")
    return parser.parse_args()


def compare(repeat: int) -> Figures:
    """Print the table; how many times faster than the fastest peer: on the mean, and at least."""
    warnings.simplefilter("ignore")
    libraries = _libraries()
    rng = random.Random(1)
    years = 35 * 365 * 86_400
    begin = datetime(2000, 1, 1, tzinfo=UTC)
    moments = [begin + timedelta(seconds=rng.randrange(years)) for _ in range(COUNT)]
    names = [library.name for library in libraries]
    versions = ", ".join(f"{name} {version(name)}" for name in names[1:])
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, medians of {repeat}")
    print(versions, end="\n\n")
    heads = "".join(f"{name:>12} " for name in names)
    print(f"{'microseconds per next fire':45}{heads}   times faster than the fastest peer")
    ratios = []
    for zone in map(ZoneInfo, ZONES):
        here = [moment.astimezone(zone) for moment in moments]
        for text in EXPRESSIONS:
            label = f"{text:15} {zone.key:17}"
            sequential, at_random = _Sequential(text, zone), _AtRandom(text, zone, here)
            ratios.append(_line(f"{label}sequential", libraries, sequential, repeat))
            ratios.append(_line(f"{label}random", libraries, at_random, repeat))
    reading = _line("reading a text", libraries, _Reading(rng, len(libraries)), repeat)
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    print(f"\nnext: {mean:.1f} times the fastest peer (geometric mean), at least {min(ratios):.1f}")
    print(f"reading: {reading:.1f} times the fastest peer")
    return {"mean": mean, "least": min(ratios)}


@dataclass(frozen=True)
class _Sequential:
    """Compute each fire from the one before it."""

    text: str
    zone: ZoneInfo

    def __call__(self, library: Any) -> Fires:
        return list(islice(library.sequence(self.text, self.zone, START), COUNT))


@dataclass(frozen=True)
class _AtRandom:
    """Compute the fire after each of many instants."""

    text: str
    zone: ZoneInfo
    moments: Fires

    def __call__(self, library: Any) -> Fires:
        found: Fires = library.at(self.text, self.zone, self.moments)
        return found


class _Reading:
    """Parses texts: the same ones for each library, and no text twice."""

    def __init__(self, rng: random.Random, libraries: int) -> None:
        self._texts = _texts(rng)
        self._calls = count()
        self._libraries = libraries
        self._now: list[str] = []

    def prepare(self) -> None:
        """Choose the texts of a repetition; this takes no measured time."""
        if next(self._calls) % self._libraries == 0:
            self._now = list(islice(self._texts, COUNT))

    def __call__(self, library: Any) -> Fires:
        for text in self._now:
            library.read(text, UTC_ZONE)
        return []


def _texts(rng: random.Random) -> Iterator[str]:
    """Return distinct cron expressions of the usual kinds."""
    known: set[str] = set()
    while True:
        minute, hour, day = rng.randrange(60), rng.randrange(24), rng.randint(1, 28)
        text = rng.choice(
            (
                f"{minute} {hour} * * {rng.randrange(7)}",
                f"{minute} {hour} {day} * *",
                f"{minute} {hour} {day} {rng.randint(1, 12)} *",
                f"*/{rng.randint(2, 30)} {hour // 2}-{12 + hour // 2} {day} * 1-5",
                f"{minute},{(minute + 30) % 60} */{rng.randint(2, 12)} {day} * *",
            )
        )
        if text not in known:
            known.add(text)
            yield text


def _line(label: str, libraries: list[Any], call: Measured, repeat: int) -> float:
    """Print one line: medians in microseconds; the answer is how much faster the first one is."""
    taken: dict[str, list[float]] = {library.name: [] for library in libraries}
    found: dict[str, Fires] = {}
    for _ in range(repeat):
        for library in libraries:
            if isinstance(call, _Reading):
                call.prepare()
            start = time.process_time()
            found[library.name] = call(library)
            taken[library.name].append((time.process_time() - start) / COUNT * 1e6)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    own, *peers = medians.values()
    first = _instants(found[libraries[0].name])
    shown = ""
    for name, median in medians.items():
        shown += f"{median:12.2f}{' ' if _instants(found[name]) == first else '*'}"
    print(f"{label:45}{shown}{min(peers) / own:8.1f}", flush=True)
    return min(peers) / own


def _instants(fires: Fires) -> list[float]:
    return [fire.timestamp() for fire in fires]


CHANGES = (
    # zone, cron, from, until
    ("America/New_York", "30 2 * * *", "2026-03-08T05:00", "2026-03-09T04:00"),
    ("America/New_York", "30 1 * * *", "2026-11-01T04:00", "2026-11-02T05:00"),
    ("America/New_York", "0 * * * *", "2026-03-08T04:59", "2026-03-09T03:59"),
    ("America/New_York", "0 * * * *", "2026-11-01T03:59", "2026-11-02T04:59"),
    ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T13:30", "2026-10-04T13:00"),
    ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T13:00", "2026-04-05T13:30"),
    ("Australia/Lord_Howe", "45 * * * *", "2026-04-04T12:59", "2026-04-05T13:29"),
    ("Africa/Casablanca", "30 2 * * *", "2026-02-14T23:00", "2026-02-15T23:59"),
    ("Africa/Casablanca", "30 2 * * *", "2026-03-22T00:00", "2026-03-22T23:00"),
    ("America/Sao_Paulo", "0 0 * * *", "2018-11-04T02:59", "2018-11-05T01:59"),
    ("America/Sao_Paulo", "30 23 * * *", "2019-02-16T12:00", "2019-02-17T12:00"),
    ("Pacific/Apia", "0 9 * * *", "2011-12-30T00:00", "2011-12-31T09:59"),
    ("Pacific/Apia", "0 9 * * 5", "2011-12-29T00:00", "2012-01-01T09:59"),
    ("Europe/Berlin", "0 0 * * *", "2026-03-28T12:00", "2026-03-30T12:00"),
    ("Europe/Berlin", "0 0 1 * *", "2026-03-02T12:00", "2026-04-15T12:00"),
)


def _print_clock_changes(libraries: list[Any]) -> None:
    """Print when each library fires on days of a clock change."""
    print("| zone | cron | " + " | ".join(library.name for library in libraries) + " |")
    print("|---|---|" + "---|" * len(libraries))
    for key, text, begin, end in CHANGES:
        zone = ZoneInfo(key)
        start, until = (datetime.fromisoformat(at).replace(tzinfo=UTC) for at in (begin, end))
        cells = []
        for library in libraries:
            fires = []
            for fire in library.sequence(text, zone, start):
                real = until + TICK if fire is None else fire.astimezone(UTC)
                if real > until:
                    break
                if real > start:
                    fires.append(f"{real.astimezone(zone):%d %b %H:%M%z}")
            cells.append(", ".join(fires) if len(fires) < 4 else f"{len(fires)} runs")
        print(f"| {key} | `{text}` | " + " | ".join(cell or "never" for cell in cells) + " |")


if __name__ == "__main__":
    main()
