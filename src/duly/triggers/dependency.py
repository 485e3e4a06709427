"""The trigger of a job that runs after other jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal, Self, get_args

from duly.clock import aware_utc
from duly.errors import TriggerError, did_you_mean
from duly.triggers.base import ReadChild, Trigger
from duly.triggers.english import join
from duly.triggers.json_data import check_keys

Outcome = Literal["success", "failure", "always"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
MAX_PARENTS = 100
MAX_ID_LENGTH = 191
_WORDS = {"success": "succeeded", "failure": "failed", "always": "ended"}
_STATES = {"success": "succeeded", "failure": "failed"}


@dataclass(frozen=True, slots=True, repr=False)
class After(Trigger):
    """Runs after other jobs. Created by `after`, and by ``after=`` of ``scheduler.job`` and others.

    Attributes:
        parents: the ids of the parent jobs, sorted.
        on: the outcome of the parents' runs that counts: ``"success"`` (default), ``"failure"`` or
            ``"always"``.
        each: whether it runs once for each run of any parent, instead of once when all have run.
    """

    kind: ClassVar[str] = "after"

    parents: tuple[str, ...]
    on: Outcome = "success"
    each: bool = False

    def __post_init__(self) -> None:
        given: object = self.parents
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise TriggerError(
                f"after= takes a list of job ids, such as ['extract'], not {given!r}"
            )
        parents = sorted(set(map(_job_id, given)))
        if not 0 < len(parents) <= MAX_PARENTS:
            raise TriggerError(f"after= takes 1 to {MAX_PARENTS} job ids, not {len(parents)}")
        if self.on not in OUTCOMES:
            hint = did_you_mean(str(self.on)[:20], OUTCOMES)
            raise TriggerError(f"on={str(self.on)[:20]!r} is not a valid outcome{hint}")
        if not isinstance(self.each, bool):
            raise TriggerError(f"each={str(self.each)[:20]!r} must be true or false")
        object.__setattr__(self, "parents", tuple(parents))

    def next_after(self, moment: datetime) -> datetime | None:
        """Return ``None``: the trigger has no times of its own."""
        aware_utc(moment, "moment")
        return None

    def describe(self) -> str:
        """See `Trigger.describe`."""
        word = "or" if self.each else "and"
        return f"after {join(self.parents, word)} {_WORDS[self.on]}"

    def to_json(self) -> dict[str, Any]:
        """See `Trigger.to_json`."""
        data = {"kind": self.kind, "parents": list(self.parents), "on": self.on}
        return {**data, "each": True} if self.each else data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], child: ReadChild) -> Self:
        """See `Trigger.from_json`."""
        check_keys(cls.kind, data, required=("parents",), optional=("on", "each"))
        if not isinstance(data["parents"], list):
            raise TriggerError(f"'parents' must be a list, not {str(data['parents'])[:60]!r}")
        return cls(tuple(data["parents"]), data.get("on", "success"), data.get("each", False))

    def __repr__(self) -> str:
        each = ", each=True" if self.each else ""
        return f"after({list(self.parents)!r}, on={self.on!r}{each})"


def after(parents: Sequence[str], *, on: Outcome = "success", each: bool = False) -> After:
    """Create the trigger of a job that runs after other jobs.

    ``after=[…]`` and ``on=`` of ``scheduler.job`` and ``scheduler.add`` create it too.

    Args:
        parents: the ids of the jobs, 1 to 100.
        on: the outcome of their runs that counts: ``success``, ``failure`` or ``always``.
        each: whether the job runs once for each run of any of them. By default it runs once when
            all of them have run since it last did.

    Raises:
        TriggerError: an argument is not valid.
    """
    return After(parents, on, each)  # type: ignore[arg-type]  # sorted and checked there


def releases(on: str, state: str) -> bool:
    """Return whether a parent's run that finished in ``state`` lets the dependent job run.

    Args:
        on: the outcome that counts; see `After`.
        state: the final state of the parent's run.
    """
    return on == "always" or state == _STATES[on]


def _job_id(parent: object) -> str:
    if (
        not isinstance(parent, str)
        or not 0 < len(parent) <= MAX_ID_LENGTH
        or not parent.isprintable()
    ):
        raise TriggerError(f"after= takes job ids, not {str(parent)[:60]!r}")
    return parent
