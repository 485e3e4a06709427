"""Resolve the dependencies in pyproject.toml into requirements/*.txt.

Each file is what pip installs today into a fresh environment, written as plain ``name==version``
lines: no addresses and no hashes, so that any index that has the packages can serve them. Run it
with the oldest Python that Duly supports (``make pins``).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FLOOR = (3, 11)
HEADER = """\
# Made by `make pins` from pyproject.toml: {what}.
# Exact versions, so that every checkout installs the same. Do not edit.
"""
# The others come after dev and take its versions, so that all fit into one environment.
FILES = {
    "dev": ("everything: all extras and the groups build, apps and dev", ("build", "apps", "dev")),
    "demo": ("what `make demo` needs: all extras and the groups build and apps", ("build", "apps")),
    "docs": (
        "what `make docs` and `make build` need: all extras and two groups",
        ("build", "docs"),
    ),
}


def wanted(settings: dict[str, Any], groups: tuple[str, ...]) -> list[str]:
    """The requirements of the core, of every extra and of the named dependency groups."""
    project = settings["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    lists += [settings["dependency-groups"][group] for group in groups]
    return sorted({name for names in lists for name in names if not name.startswith("duly[")})


def resolve(requirements: list[str], constraints: Path | None) -> list[str]:
    """Install into a fresh environment and return what pip chose, as exact pins."""
    with tempfile.TemporaryDirectory(prefix="duly-pins-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        limits = ["-c", str(constraints)] if constraints else []
        subprocess.run([*pip, "install", "-qq", *limits, *requirements], check=True)
        frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True)
    pins = frozen.stdout.split()
    strange = [pin for pin in pins if "==" not in pin]
    if strange:
        sys.exit(f"not plain versions: {' '.join(strange)}")
    return sorted(pins, key=str.lower)


def main() -> None:
    """Write every file."""
    if sys.version_info[:2] != FLOOR:
        sys.exit("pins are made with Python {}.{}: make pins PYTHON=…".format(*FLOOR))
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    constraints = None
    for name, (what, groups) in FILES.items():
        pins = resolve(wanted(settings, groups), constraints)
        target = ROOT / "requirements" / f"{name}.txt"
        target.write_text(HEADER.format(what=what) + "\n".join(pins) + "\n")
        print(f"{target.relative_to(ROOT)}: {len(pins)} packages")
        constraints = constraints or target


if __name__ == "__main__":
    main()
