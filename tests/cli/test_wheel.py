"""What the wheel holds is enough: the demo serves, and the command line works on it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Children

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with the package as its wheel installs it, beside this environment's libraries."""
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path)
    subprocess.run([str(part) for part in build], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as zipped:
        zipped.extractall(tmp_path / "site")
    return tmp_path / "site"


def test_the_demo_of_the_wheel_serves_and_can_be_managed(
    installed: Path, children: Children, tmp_path: Path
) -> None:
    """``duly demo`` works without the repository; ``--url`` and ``--api`` print the same rows."""
    env = {"PYTHONPATH": str(installed)}

    def duly(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "duly.cli", *arguments],
            cwd=tmp_path, env={**os.environ, **env}, capture_output=True, text=True, check=False,
            timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = children.python("-c", "import duly; print(duly.__file__)", env=env)
    assert where.wait() == 0
    assert where.output().startswith(str(installed))
    demo = children.python("-m", "duly.cli", "demo", "--port", "0", "--db", "shop.db", env=env)
    match = demo.wait_for(r"dashboard +(http://127\.0\.0\.1:\d+)/\?key=(\S+)")
    remote = ("--api", match[1], "--key", match[2])
    duly("jobs", "pause", "--everything", "--yes", *remote)  # so that no next fire changes
    rows = duly("jobs", "list", *remote)
    assert rows.count("\tpaused\t") == 8
    assert duly("jobs", "list", "--url", f"sqlite:///{tmp_path}/shop.db") == rows
    assert demo.terminate() == 0, demo.output()
