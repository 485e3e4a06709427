"""The environments of the peers, each installed from a list of exact versions when first needed."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "var" / "bench"
SOURCE = "DULY_BENCH_SOURCE"
"""The environment variable that names the folder from which Duly is imported."""


def interpreter(name: str) -> Path:
    """Return the Python of the environment that has what ``bench/<name>.txt`` lists.

    Args:
        name: the name of the list; an empty one stands for the environment of this process.

    Raises:
        subprocess.CalledProcessError: the environment could not be installed.
    """
    if not name:
        return Path(sys.executable)
    requirements = (ROOT / "bench" / f"{name}.txt").read_text()
    folder = HOME / name
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != requirements:
        print(f"installing bench/{name}.txt …", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq"]
        subprocess.run([*pip, "install", "-r", f"bench/{name}.txt"], check=True, cwd=ROOT)
        stamp.write_text(requirements)
    return python


def variables() -> dict[str, str]:
    """Return the environment variables of a contender.

    Compiled modules are cached, as they are after an installation.
    """
    kept = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join((str(ROOT), os.environ.get(SOURCE, str(ROOT / "src"))))
    return {**kept, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": str(HOME / "pycache")}


def versions(name: str) -> dict[str, str]:
    """Return the packages that an environment's list names, with their versions."""
    lines = (ROOT / "bench" / f"{name}.txt").read_text().splitlines()
    pairs = [line.partition("==") for line in lines if "==" in line and not line.startswith("#")]
    return {package.partition("[")[0]: version for package, _, version in pairs}
