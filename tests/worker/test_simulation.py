"""Seeded worlds of crashes in which Duly's promises hold, and faults in Duly that they find."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from duly.errors import ConfigurationError
from simulation import database
from simulation.mutations import MUTATIONS
from simulation.simulate import Report, simulate

WORLDS = 24
GROUP = 6


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where the worlds lie: a folder that is cleared away after an interrupted session too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_MEMORY", tmp_path_factory.mktemp("worlds"))
        yield


@pytest.mark.parametrize("first", range(0, WORLDS, GROUP))
def test_every_invariant_holds(first: int) -> None:
    """Whatever befalls the processes, what was promised holds; the report names the seed."""
    for seed in range(first, first + GROUP):
        report = simulate(seed)
        assert report.ok, str(report)


@pytest.mark.parametrize("server", [True, False], ids=["server", "one machine"])
def test_a_world_without_faults_is_peaceful(server: bool) -> None:
    """Without faults all happens once: each run that succeeded was executed as often as claimed."""
    report = simulate(1, server=server, faults=0)
    assert report.ok, str(report)
    assert not report.faults
    assert report.decisions > 0


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_fault_in_duly_itself_is_found(name: str) -> None:
    """A check that never fails proves nothing: each such fault is found within 50 seeds."""
    assert first_to_find(name) is not None


def test_without_tokens_a_stale_result_is_accepted() -> None:
    """It is the check of tokens that keeps a result out whose run belongs to somebody else."""
    report = first_to_find("token")
    assert report is not None
    assert any(problem.startswith("(2)") for problem in report.violations)


def test_the_same_seed_gives_the_same_world() -> None:
    """A printed seed leads to the same steps again."""
    assert simulate(3).log == simulate(3).log


def test_a_report_says_what_happened() -> None:
    """A violation is printed with its seed and the steps that led there."""
    report = first_to_find("limits")
    assert report is not None
    assert f"seed {report.seed} " in str(report)
    assert report.log[-1] in str(report)
    assert report.violations[0] in str(report)


def test_an_unknown_mutation_is_refused() -> None:
    """A misspelt fault is an error, not a world in which all is well."""
    with pytest.raises(ConfigurationError, match="did you mean 'token'"):
        simulate(1, mutation="tokens")


def first_to_find(name: str) -> Report | None:
    return next(
        (report for seed in range(50) if not (report := simulate(seed, mutation=name)).ok), None
    )
