"""The rules that the repository as a whole follows."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.sources import ROOT, tracked_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {
    *("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock", "package-lock.json"),
    *("yarn.lock", "pnpm-lock.yaml", "bun.lockb", "npm-shrinkwrap.json"),
}
# Broken up by [.], so that this file does not find itself.
ADDRESSES = re.compile(
    r"pypi[.]org|python[h]osted|registry[.]npmjs|deb[.]debian|--(extra-)?index[-]url|--hash[=]"
)
# An absolute path into somebody's home or mount, as a whole word.
MACHINE = re.compile(r"(?<![\w.~-])/(root|work|home)/\w")
GROUPS = {
    "dev": ["build", "apps", "dev"],
    "demo": ["build", "apps"],
    "docs": ["build", "docs"],
}
COMMANDS = {
    *("help", "demo", "test", "test-fast", "lint", "types", "docs", "build", "bench", "chaos"),
    *("simulate", "format", "pins", "clean"),
}


def test_no_lock_file_and_no_registry() -> None:
    """Any package registry can be used: no file records where a package was downloaded."""
    assert not [path for path in tracked_files() if path.name in LOCKS]
    assert not mentions(ADDRESSES)


def test_no_path_of_one_machine() -> None:
    """No file depends on where a checkout is located."""
    assert not mentions(MACHINE)


@pytest.mark.parametrize("name", ["dev", "demo", "docs"])
def test_pins_are_exact_and_complete(name: str) -> None:
    """Each pin is one exact version, and the pins satisfy what pyproject.toml asks for."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    pins = {}
    for line in lines:
        if not line.startswith("#"):
            assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)
            package, _, version = line.partition("==")
            pins[canonicalize_name(package)] = version
    for requirement in wanted(GROUPS[name]):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_the_files_of_pins_agree() -> None:
    """The demo runs on the versions that were tested, and all pins fit into one environment."""
    dev, demo, docs = (
        dict(line.split("==") for line in path.read_text().splitlines() if "==" in line)
        for path in (ROOT / "requirements" / f"{name}.txt" for name in GROUPS)
    )
    assert demo.items() <= dev.items()
    assert {name: docs[name] for name in docs.keys() & dev.keys()}.items() <= dev.items()


def test_ci_runs_every_supported_python() -> None:
    """The workflow's matrix, the classifiers and ``requires-python`` name the same versions."""
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (matrix,) = re.findall(r"^ +python: \[(.*)\]$", workflow, re.MULTILINE)
    project = PROJECT["project"]
    prefix = "Programming Language :: Python :: 3."
    classified = [line for line in project["classifiers"] if line.startswith(prefix)]
    versions = re.findall(r"3\.\d+", matrix)
    assert versions == [line.rpartition(" ")[2] for line in classified]
    assert project["requires-python"] == f">={versions[0]}"


def test_all_is_every_extra() -> None:
    """``duly[all]`` includes every extra."""
    extras = PROJECT["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert Requirement(everything).extras == set(extras) - {"all"}


def test_core_dependencies_are_few() -> None:
    """``pip install duly`` installs these four packages and their dependencies."""
    names = {Requirement(line).name for line in PROJECT["project"]["dependencies"]}
    assert names == {"sqlalchemy", "alembic", "pydantic", "tzdata"}


def test_make_lists_every_command() -> None:
    """``make`` without arguments lists each command with its purpose."""
    declared = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = {command for line in declared for command in line.split()}
    shown = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert set(re.findall(r"^  make ([\w-]+) +\S", shown, re.MULTILINE)) == commands
    assert commands >= COMMANDS


def wanted(groups: list[str]) -> list[Requirement]:
    project = PROJECT["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    lists += [PROJECT["dependency-groups"][group] for group in groups]
    every = [Requirement(line) for lines in lists for line in lines]
    return [requirement for requirement in every if requirement.name != "duly"]


def mentions(pattern: re.Pattern[str]) -> list[tuple[Path, str]]:
    """Return the tracked files that match a pattern, each with its first match."""
    found = []
    for path in tracked_files():
        match = pattern.search(path.read_text(errors="replace"))
        if match:
            found.append((path.relative_to(ROOT), match[0]))
    return found
