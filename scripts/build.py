"""Build the wheel and the source archive into dist/, and check what they hold.

The wheel is installed into an empty environment, in which a task runs once. Then all extras are
added, and the demo serves there, on which the command line works.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
NEEDED = (
    "duly/py.typed",
    "duly/web/dashboard/templates/",
    "duly/web/dashboard/static/",
    "duly/store/migrations/versions/",
)
IN_ARCHIVE = ("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "src/duly/__init__.py")
PROGRAM = """
from duly import Scheduler

scheduler = Scheduler("sqlite:///once.db")

@scheduler.task()
def hello() -> str:
    return "hello"

run_id = scheduler.enqueue(hello)
scheduler.tick()
assert scheduler.run(run_id).result == "hello"
scheduler.stop()
"""


def main() -> None:
    """Build, look inside, install, run."""
    shutil.rmtree(DIST, ignore_errors=True)
    _call(sys.executable, "-m", "hatchling", "build", "-d", DIST)
    (wheel,), (archive,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as zipped:
        _check_wheel(zipped.namelist())
    with tarfile.open(archive) as unpacked:
        _check_archive(unpacked.getnames())
    _install_and_run(wheel)
    print(f"{wheel.name} and {archive.name} are in {DIST.relative_to(ROOT)}/")


def _check_wheel(names: list[str]) -> None:
    stray = [name for name in names if not name.startswith(("duly/", "duly-"))]
    missing = [needed for needed in NEEDED if not any(name.startswith(needed) for name in names)]
    if stray or missing:
        sys.exit(f"the wheel holds {stray} besides the package; it lacks {missing}")


def _check_archive(names: list[str]) -> None:
    held = {name.partition("/")[2] for name in names}
    missing = [name for name in IN_ARCHIVE if name not in held]
    stray = [name for name in held if name.startswith(("tests", "simulation", "apps", "bench"))]
    if stray or missing:
        sys.exit(f"the source archive holds {stray}; it lacks {missing}")


def _install_and_run(wheel: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="duly-build-") as folder:
        _call(sys.executable, "-m", "venv", folder)
        python = Path(folder) / "bin" / "python"
        pip = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-qq")
        _call(python, *pip, "-c", ROOT / "requirements" / "dev.txt", wheel)
        _call(python, "-c", PROGRAM, cwd=folder)
        _call(python, *pip, "-c", ROOT / "requirements" / "dev.txt", f"{wheel}[all]")
        _try_demo(Path(folder))


def _try_demo(folder: Path) -> None:
    """Serve the demo, and list its jobs from the database and through the API."""
    duly = str(folder / "bin" / "duly")
    command = [duly, "demo", "--port", "0", "--db", "shop.db"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as demo:
        try:
            told = "".join(demo.stdout.readline() for _ in range(4)) if demo.stdout else ""
            match = re.search(r"dashboard +(http://\S+)/\?key=(\S+)", told)
            if match is None:
                sys.exit(f"the demo of the wheel does not serve; it printed {told!r}")
            remote, alone = ("--api", match[1], "--key", match[2]), ("--url", "sqlite:///shop.db")
            _call(duly, "jobs", "pause", "--everything", "--yes", *remote, cwd=folder)
            rows = [
                subprocess.check_output([duly, "jobs", "list", *target], cwd=folder, text=True)
                for target in (remote, alone)
            ]
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate()  # it prints a line when it stops, and fails if the pipe is closed
    if demo.returncode != 0 or rows[0] != rows[1] or rows[0].count("\n") < 2:
        sys.exit(f"the demo of the wheel: exit code {demo.returncode}, rows {rows}")


def _call(*command: str | Path, cwd: str | Path = ROOT) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=cwd)


if __name__ == "__main__":
    main()
