"""Which jobs come after which: no circle, no chain without end."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter

from duly.errors import DependencyError

LONGEST_CHAIN = 10


def check_graph(parents: Mapping[str, Collection[str]]) -> None:
    """Refuse dependencies that could never be met, or that nobody could follow.

    Args:
        parents: of each job that has any.

    Raises:
        DependencyError: a job would come after itself, or at the end of more than 10 dependencies.
    """
    try:
        order = list(TopologicalSorter(parents).static_order())
    except CycleError as error:
        circle = " → ".join(map(repr, error.args[1]))
        raise DependencyError(
            f"these jobs would wait for each other: {circle}; take one of them out of an after="
        ) from None
    behind: dict[str, list[str]] = {}
    for job in order:
        chains = [behind[parent] for parent in parents.get(job, ())]
        behind[job] = [*max(chains, key=len, default=[]), job]
        if len(behind[job]) > LONGEST_CHAIN + 1:
            chain = " → ".join(map(repr, behind[job]))
            raise DependencyError(
                f"a chain of {len(behind[job]) - 1} dependencies is too long; "
                f"at most {LONGEST_CHAIN}: {chain}"
            )
