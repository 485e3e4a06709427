"""What the running program says about its calls: names, signatures, docstrings."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import get_type_hints

import pytest

from duly import Scheduler
from duly.model.policy import TASK_OPTIONS, JobOptionFields, JobOptions, TaskOptionFields


def calls(owner: type) -> dict[str, object]:
    return {
        name: member
        for name, member in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize("name", sorted(calls(Scheduler)))
def test_a_docstring_explains_every_parameter(tmp_path, name: str) -> None:
    """Each has a line of its own, but for ids where the whole docstring is about them."""
    call = getattr(Scheduler(f"sqlite:///{tmp_path}/app.db"), name)
    doc = inspect.getdoc(call) or ""
    explained = set(re.findall(r"^    (\w+): ", doc, re.MULTILINE))
    named = set(inspect.signature(call).parameters)
    assert not named - explained if explained & named else len(named) <= 2


def test_an_unknown_name_is_refused(tmp_path) -> None:
    """`Aio` has no names but those of its table."""
    with pytest.raises(AttributeError, match="enqueu"):
        Scheduler(f"sqlite:///{tmp_path}/app.db").aio.enqueu  # type: ignore[attr-defined]  # noqa: B018


def test_options_that_checkers_know_are_the_options_that_there_are() -> None:
    """Every field of `JobOptions` can be given, and tasks take those that run with them."""
    assert set(get_type_hints(JobOptionFields)) == {field.name for field in fields(JobOptions)}
    assert set(get_type_hints(TaskOptionFields)) == TASK_OPTIONS
    assert not JobOptionFields.__required_keys__
