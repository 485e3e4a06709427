"""Frozen applications have neither package metadata nor folders of modules."""

from __future__ import annotations

import shutil
from pathlib import Path

import duly
from tests.support.processes import Children

PROGRAM = """
import importlib.metadata, sys

def missing(name):
    raise importlib.metadata.PackageNotFoundError(name)

importlib.metadata.Distribution.from_name = missing
sys.path.insert(0, {archive!r})
import duly
assert duly.__file__.startswith({archive!r}), duly.__file__

from duly import Scheduler, cron
from duly.cli.main import main

scheduler = Scheduler("sqlite:///frozen.db", timezone="Europe/Madrid")

@scheduler.job(cron("0 9 * * *"), id="greet")
def greet() -> str:
    return "hello"

with scheduler.running():
    print("result", scheduler.run_now("greet", wait=60).result)
    print("version", scheduler.workers()[0].version, "zones", scheduler.workers()[0].tzdb)
main(["--version"])
"""


def test_U25_an_application_without_metadata_starts(children: Children, tmp_path: Path) -> None:
    """Duly runs from an archive, creates its tables, and knows its version and its zone data."""
    source = Path(duly.__file__).parent.parent
    archive = shutil.make_archive(str(tmp_path / "frozen"), "zip", source, "duly")
    child = children.python("-c", PROGRAM.format(archive=archive), env={"PYTHONTZPATH": ""})
    child.wait_for("result hello")
    child.wait_for(r"version \d+\.\d+\.\d+ zones 20\d\d[a-z]")
    child.wait_for(r"duly, version \d")
    assert child.wait() == 0
