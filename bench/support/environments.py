"""Environments of the peers: each made from a list of exact versions when first needed."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "var" / "bench"


def interpreter(name: str) -> Path:
    """The Python of the environment that holds what ``bench/<name>.txt`` lists.

    Args:
        name: ``""``: the environment that this process runs in.

    Raises:
        subprocess.CalledProcessError: it could not be installed.
    """
    if not name:
        return Path(sys.executable)
    wanted = (ROOT / "bench" / f"{name}.txt").read_text()
    folder = HOME / name
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing bench/{name}.txt …", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq"]
        subprocess.run([*pip, "install", "-r", f"bench/{name}.txt"], check=True, cwd=ROOT)
        stamp.write_text(wanted)
    return python


def variables() -> dict[str, str]:
    """The environment variables of a contender: compiled modules are kept, as after an install."""
    held = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    return {**held, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": str(HOME / "pycache")}


def versions(name: str) -> dict[str, str]:
    """What the list of an environment asks for directly: package and version."""
    lines = (ROOT / "bench" / f"{name}.txt").read_text().splitlines()
    pairs = [line.partition("==") for line in lines if "==" in line and not line.startswith("#")]
    return {package.partition("[")[0]: version for package, _, version in pairs}
