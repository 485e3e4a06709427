"""The form of a job's options changes only what was typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly import CatchUp, Retry, Watch
from duly.errors import ConfigurationError
from duly.model.policy import JobOptions
from duly.web.dashboard.forms.durations import duration_text, read_duration
from duly.web.dashboard.forms.options import OPTIONS, option_texts, read_options

MADRID = ZoneInfo("Europe/Madrid")
PLAIN = JobOptions()
RICH = JobOptions(
    queue="mail",
    priority=-3,
    retry=Retry(attempts=5, wait=0.5),
    timeout=90,
    expires=3600.25,
    keep=1.5,
    catch_up=CatchUp("all", limit=7, max_age=86400),
    overlap="queue",
    jitter=30,
    start=datetime(2026, 10, 25, 1, 30, 0, 123456, tzinfo=UTC),
    watch=Watch(expected_every=7200, failing_after=3),
    owner="acme",
)


def typed(options: JobOptions, **texts: str) -> Any:
    """Type into the form of stored options; ``__`` in a name stands for a dot."""
    changes = {f"options.{name.replace('__', '.')}": [text] for name, text in texts.items()}
    return read_options(options, {**option_texts(options, MADRID), **changes}, MADRID)


@pytest.mark.parametrize("options", [PLAIN, RICH])
def test_a_form_that_is_sent_untouched_changes_nothing(options: JobOptions) -> None:
    """Each value comes back exactly, also an instant in an hour that occurs twice."""
    found = typed(options)
    assert (found.changed, found.problems) == ({}, {})


@pytest.mark.parametrize(
    ("texts", "changed"),
    [
        ({"queue": "mail"}, {"queue": "mail"}),
        ({"timeout": "1 h 30 min"}, {"timeout": 5400}),
        ({"retry__attempts": "4"}, {"retry": Retry(attempts=4)}),
        ({"catch_up__mode": "all", "catch_up__limit": "9"}, {"catch_up": CatchUp("all", limit=9)}),
        ({"watch__expected_every": "2 h"}, {"watch": Watch(expected_every=7200)}),
        ({"start": "2026-12-24T18:00"}, {"start": datetime(2026, 12, 24, 17, tzinfo=UTC)}),
    ],
)
def test_what_was_typed_is_changed(texts: dict[str, str], changed: dict[str, Any]) -> None:
    """And only that."""
    found = typed(PLAIN, **texts)
    assert found.problems == {}
    assert found.changed.keys() == changed.keys()
    assert PLAIN.with_overrides(found.changed, "") == PLAIN.with_overrides(changed, "")


def test_parts_that_were_not_typed_are_kept() -> None:
    """An option with parts is replaced with those that were stored."""
    found = typed(RICH, retry__attempts="6", watch__failing_after="")
    assert RICH.with_overrides(found.changed, "").retry == Retry(attempts=6, wait=0.5)
    assert RICH.with_overrides(found.changed, "").watch == Watch(expected_every=7200)
    emptied = typed(RICH, watch__failing_after="", watch__expected_every="", start="", owner="")
    assert emptied.changed == {"watch": None, "start": None, "owner": None}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("queue", "", "Write a value."),
        ("priority", "high", "Write a whole number."),
        ("priority", "99999", "This must be a whole number from -32768 to 32767."),
        ("timeout", "soon", "Write a duration such as 90 s, 5 min or 1 h 30 min."),
        ("timeout", "0", "This must be more than 0 seconds, at most a century."),
        ("retry__attempts", "0", "This must be a whole number from 1 to 1000."),
        ("retry__jitter", "2", "This must be 0 to 1."),
        ("watch__failing_after", "0", "This must be a whole number from 1 to 1000000."),
        ("start", "noon", "Write a date and a time."),
        ("overlap", "never", "This must be one of 'skip', 'queue', 'allow', 'cancel_running'."),
        ("keep", "inf", "This must be more than 0 days, at most 36500."),
    ],
)
def test_each_problem_is_at_its_input(name: str, text: str, problem: str) -> None:
    """In words that do not need the name of the option."""
    found = typed(PLAIN, **{name: text})
    assert found.problems == {f"options.{name.replace('__', '.')}": problem}


def test_every_option_that_a_user_may_set_has_an_input() -> None:
    """Except those of code only, and the address that a server would request."""
    names = {option.path.partition(".")[0] for option in OPTIONS}
    assert set(JobOptions.__dataclass_fields__) - names == {"at_start", "ping"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("90 s", 90), ("5min", 300), ("1 h 30 min", 5400), ("1.5 hours", 5400),
        ("2 weeks", 1_209_600), ("250 ms", 0.25), (" 1 D ", 86_400), ("0", 0),
    ],
)  # fmt: skip
def test_durations_as_people_type_them(text: str, seconds: float) -> None:
    """Units may be abbreviated; without one it is seconds."""
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 apples", "-3", "1 h and more", "1" * 101])
def test_what_is_not_a_duration(text: str) -> None:
    """It is refused with an example."""
    with pytest.raises(ConfigurationError, match="write a duration"):
        read_duration(text)


@given(st.integers(0, 3_155_760_000) | st.floats(0, 3e9) | st.timedeltas(timedelta(0)).map(
    timedelta.total_seconds))  # fmt: skip
def test_durations_are_shown_exactly(seconds: float) -> None:
    """What is shown is read as the same number."""
    assert read_duration(duration_text(seconds)) == seconds
