"""Checks of the graph of jobs that run after other jobs: no cycle, and no overlong chain."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter

from duly.errors import DependencyError

LONGEST_CHAIN = 10


def check_graph(parents: Mapping[str, Collection[str]]) -> None:
    """Check that dependencies form neither a cycle nor an overlong chain.

    Args:
        parents: the ids of the parents of each job that has any.

    Raises:
        DependencyError: a job would run after itself, or a chain has more than 10 dependencies.
    """
    try:
        order = list(TopologicalSorter(parents).static_order())
    except CycleError as error:
        cycle = " → ".join(map(repr, error.args[1]))
        raise DependencyError(
            f"these jobs would wait for each other: {cycle}; remove one of them from an after="
        ) from None
    chains: dict[str, list[str]] = {}
    for job in order:
        above = [chains[parent] for parent in parents.get(job, ())]
        chains[job] = [*max(above, key=len, default=[]), job]
        if len(chains[job]) > LONGEST_CHAIN + 1:
            chain = " → ".join(map(repr, chains[job]))
            raise DependencyError(
                f"a chain of {len(chains[job]) - 1} dependencies is too long; "
                f"the limit is {LONGEST_CHAIN}: {chain}"
            )
