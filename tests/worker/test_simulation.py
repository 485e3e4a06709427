"""In seeded worlds of crashes every invariant holds, and bugs planted in Duly are found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from duly.errors import ConfigurationError
from simulation import database
from simulation.mutations import MUTATIONS
from simulation.simulate import Report, simulate

pytestmark = pytest.mark.slow
WORLDS = 24
GROUP = 6
FOUND_BY = {
    "token": "(2)", "limits": "(6)", "decisions": "(1)", "cursor": "(1)",
    "stop": "(11)", "place": "(11)", "key": "(12)", "prune": "(13)",
    "rate": "(6)", "quarantine": "(7)", "waiting": "(3)", "count": "(14)",
}  # fmt: skip
"""The bugs that can be planted, each with the number of the invariant that does not hold then."""

FINDERS = {
    "token": 4, "limits": 0, "decisions": 0, "cursor": 0, "stop": 0, "place": 10, "key": 0,
    "prune": 1, "rate": 7, "quarantine": 37, "waiting": 41,
    "count": 0,
}  # fmt: skip
"""For each bug a seed that has found it; others are tried only if it no longer does."""


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the worlds in a folder that is removed even after an interrupted session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_MEMORY", tmp_path_factory.mktemp("worlds"))
        yield


@pytest.mark.parametrize("first", range(0, WORLDS, GROUP))
def test_every_invariant_holds(first: int) -> None:
    """Every invariant holds, whatever happens to the processes; the report names the seed."""
    for seed in range(first, first + GROUP):
        report = simulate(seed)
        assert report.ok, str(report)


@pytest.mark.parametrize("server", [True, False], ids=["server", "one machine"])
def test_every_invariant_holds_without_faults(server: bool) -> None:
    """A world without faults violates nothing, and it decides nominal times."""
    report = simulate(1, server=server, faults=0)
    assert report.ok, str(report)
    assert not report.faults
    assert report.decisions > 0


def test_each_bug_has_an_invariant_that_finds_it() -> None:
    """No bug can be planted without a test that it is found."""
    assert sorted(FOUND_BY) == sorted(MUTATIONS)


@pytest.mark.parametrize("name", sorted(FOUND_BY))
def test_a_planted_bug_is_found(name: str) -> None:
    """A check that never fails proves nothing: 50 seeds find each bug that is planted in Duly."""
    assert replay(FINDERS[name], name, FOUND_BY[name]) or first_to_find(name) is not None


def test_the_same_seed_gives_the_same_world() -> None:
    """A seed that was printed replays the same steps."""
    assert simulate(3).log == simulate(3).log


def test_a_report_tells_what_happened() -> None:
    """A violation is printed with its seed and the steps that led to it."""
    report = first_to_find("limits")
    assert report is not None
    assert f"seed {report.seed} " in str(report)
    assert report.log[-1] in str(report)
    assert report.violations[0] in str(report)


def test_an_unknown_mutation_is_refused() -> None:
    """A misspelt mutation is an error, not a world without violations."""
    with pytest.raises(ConfigurationError, match="did you mean 'token'"):
        simulate(1, mutation="tokens")


def replay(seed: int, name: str, invariant: str) -> bool:
    """Return whether a seed finds a bug in a process of its own, as ``python -m simulation``."""
    command = [sys.executable, "-m", "simulation", "--seed", str(seed), "--mutate", name]
    printed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    return printed.returncode == 1 and f"\n{invariant} " in printed.stdout


def first_to_find(name: str) -> Report | None:
    reports = (simulate(seed, mutation=name) for seed in range(50))
    return next((report for report in reports if _broken(report, FOUND_BY[name])), None)


def _broken(report: Report, invariant: str) -> bool:
    return any(problem.startswith(invariant) for problem in report.violations)
