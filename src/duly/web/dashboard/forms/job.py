"""The form of a job: what it starts with, and what was typed into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from duly.errors import ConfigurationError, DulyError
from duly.model.job import JobRecord, check_id, check_tags
from duly.model.policy import JobOptions
from duly.registry import Task
from duly.triggers import Trigger
from duly.web.dashboard.forms.arguments import (
    argument_texts,
    every,
    read_arguments,
    shown_arguments,
)
from duly.web.dashboard.forms.fields import Field, fields_of
from duly.web.dashboard.forms.options import OPTIONS, option_texts, read_options
from duly.web.dashboard.forms.texts import Texts, first, lines
from duly.web.dashboard.forms.triggers import Place, TriggerProblem, read_trigger, trigger_texts

MAX_REASON = 200


@dataclass(slots=True)
class TypedJob:
    """A job as it was typed.

    Attributes:
        trigger: the trigger, whether or not it was changed; ``None``: it is not valid.
        changes: what differs from the job that the form started with, as ``add`` and ``edit``
            take it.
        problems: what is wrong, by the name of the input.
    """

    trigger: Trigger | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """The changes as a client of the API sends them, as far as they concern owners."""
        owner = {name: self.changes[name] for name in ("owner",) if name in self.changes}
        trigger = self.changes.get("trigger")
        return owner if trigger is None else {**owner, "trigger": trigger.to_json()}


class JobForm:
    """The form of a new job, or of one that is edited.

    Args:
        task: the task, if this process knows it.
        job: the job that is edited; ``None``: a new one.
        options: the options that the form starts with.
        place: where the trigger is used.
        owners: the owners that the user may choose from; ``None``: any.
    """

    def __init__(
        self,
        task: Task | None,
        job: JobRecord | None,
        options: JobOptions,
        place: Place,
        owners: Sequence[str] | None,
    ) -> None:
        self.task = task
        self.job = job
        self.owners = owners
        self._options = options
        self._place = place
        stored = dict(job.args) if job else {}
        shown = shown_arguments(stored) if job else None
        self.fields: tuple[Field, ...] = (
            fields_of(task.signature.schema(), shown) if task is not None else ()
        )
        known = {each.key for each in self.fields}
        open_ended = any(each.name.endswith("~more") for each in self.fields)
        self.dropped = [] if task is None or open_ended else sorted((shown or {}).keys() - known)

    @property
    def zone(self) -> str:
        """The zone of a trigger that names none, and of instants."""
        return self._place.zone.key

    @property
    def calendars(self) -> list[str]:
        """The names of the stored calendars."""
        return sorted(self._place.calendars)

    @cached_property
    def initial(self) -> dict[str, list[str]]:
        """The texts that the inputs start with."""
        job = self.job
        own = list(self.owners or ())
        texts = {
            "id": [job.id if job else ""],
            "tags": ["\n".join(job.tags) if job else ""],
            "paused": [],
            **trigger_texts(job.trigger if job else None, self._place),
            "args": [],
            **argument_texts(self.fields),
            **option_texts(self._options, self._place.zone),
            "reason": [],
        }
        if job is None and len(own) == 1:
            texts["options.owner"] = own
        return texts

    def typed(self, posted: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Return what the inputs contain; one that was not sent is unchanged.

        Args:
            posted: what was sent, without empty texts. Boxes are sent with an empty text beside
                them, so that the name of one without a tick is sent too.
        """
        return {name: list(posted.get(name, texts)) for name, texts in self.initial.items()}

    def read(self, typed: Texts) -> TypedJob:
        """Return the job that was typed."""
        found = TypedJob()
        self._read_identity(typed, found)
        self._read_trigger(typed, found)
        self._read_arguments(typed, found)
        options = read_options(self._options, typed, self._place.zone)
        found.problems |= options.problems
        found.changes |= options.changed
        reason = first(typed, "reason")
        if len(reason) > MAX_REASON or not reason.isprintable():
            found.problems["reason"] = f"Write one line of at most {MAX_REASON} characters."
        found.problems = self.in_order(found.problems)
        return found

    def in_order(self, problems: Mapping[str, str]) -> dict[str, str]:
        """Return problems in the order of the inputs, after those of the form as a whole."""
        names = [name for name in problems if name not in self.initial]
        names += [name for name in self.initial if name in problems]
        return {name: problems[name] for name in names}

    def _read_identity(self, typed: Texts, found: TypedJob) -> None:
        job_id, tags = first(typed, "id").strip(), lines(typed, "tags")
        try:
            if self.job is None and job_id:
                found.changes["id"] = check_id(job_id)
            if self.job is None and typed.get("paused"):
                found.changes["paused"] = True
        except ConfigurationError as error:
            found.problems["id"] = f"{error}"
        try:
            checked = check_tags([tag.strip() for tag in tags])
            if checked != (self.job.tags if self.job else ()):
                found.changes["tags"] = checked
        except ConfigurationError as error:
            found.problems["tags"] = f"{error}"

    def _read_trigger(self, typed: Texts, found: TypedJob) -> None:
        try:
            found.trigger = read_trigger(typed, self._place)
            stored = self.job.trigger if self.job else None
            bound = self._place.bound(found.trigger)
            if stored is None or bound != self._place.bound(stored):
                found.changes["trigger"] = found.trigger
        except TriggerProblem as error:
            found.problems[error.name] = f"{error}"
        except DulyError as error:
            found.problems["trigger.exclude"] = f"{error}"

    def _read_arguments(self, typed: Texts, found: TypedJob) -> None:
        if self.task is None:
            return
        stored = dict(self.job.args) if self.job else {}
        arguments = read_arguments(self.task.signature, self.fields, stored, typed)
        found.problems |= arguments.problems
        if arguments.changed or self.job is None:
            found.changes["args"] = arguments.values


def labels(form: JobForm) -> dict[str, str]:
    """Return what an error summary calls the inputs, by name."""
    trigger = {name: "When it fires" for name in form.initial if name.startswith("trigger.")}
    return {
        "id": "Id",
        "tags": "Tags",
        "args": "Arguments",
        **trigger,
        **{each.name: each.key for each in every(form.fields)},
        **{option.name: option.label for option in OPTIONS},
    }
