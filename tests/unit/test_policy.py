"""Options of jobs are validated where they are set and stored unchanged."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duly import CatchUp, JobDefaults, Retry
from duly.errors import ConfigurationError, DulyError, NaiveDatetimeError, UnknownOption
from duly.model.policy import (
    TASK_OPTIONS,
    JobOptions,
    RunPolicy,
    decode_options,
    decode_run_policy,
    encode_policy,
    unit_hash,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
NAIVE = NOON.replace(tzinfo=None)
NAN = float("nan")
INF = float("inf")


def options(**given_: Any) -> JobOptions:
    return JobOptions().with_overrides(given_, "for job 'x'")


# ---------------------------------------------------------------------------------- retry


def test_waits_grow_by_the_factor_up_to_the_longest() -> None:
    """The waits are 30 s, 60 s, 120 s, … and never more than 900 s."""
    retry = Retry(attempts=10, wait=30, factor=2, max_wait=900, jitter=0)
    waits = [retry.delay(failed, "run").total_seconds() for failed in range(1, 9)]
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


def test_a_factor_of_one_waits_the_same_each_time() -> None:
    """With a factor of 1, every wait is 5 s."""
    retry = Retry(attempts=3, wait=5, factor=1, jitter=0)
    assert [retry.delay(n, "run") for n in (1, 2, 50)] == [timedelta(seconds=5)] * 3


@given(
    failed=st.integers(1, 1000),
    key=st.text(max_size=40),
    wait=st.floats(0, 1e6),
    factor=st.floats(1, 1e9),
    jitter=st.floats(0, 1),
)
def test_every_wait_is_within_its_bounds(
    failed: int, key: str, wait: float, factor: float, jitter: float
) -> None:
    """After any number of failures and with any factor, a wait is at most max_wait plus jitter."""
    retry = Retry(1000, wait, factor, max_wait=900, jitter=jitter)
    delay = retry.delay(failed, key).total_seconds()
    assert 0 <= delay <= 900 * (1 + jitter) + 1e-6
    assert delay >= min(wait, 900) * (1 - jitter) - 1e-6
    assert retry.delay(failed, key).total_seconds() == delay


def test_jitter_spreads_runs_that_fail_together() -> None:
    """A thousand runs that fail at one instant are not retried at one instant."""
    retry = Retry(wait=100, jitter=0.2)
    waits = [retry.delay(1, f"run {n}").total_seconds() for n in range(1000)]
    assert len(set(waits)) > 990
    assert min(waits) < 85
    assert max(waits) > 115
    assert retry.delay(1, "run 1") != retry.delay(2, "run 1") / 2


@pytest.mark.parametrize(
    "bad",
    [
        {"attempts": 0}, {"attempts": 1001}, {"attempts": 2.5}, {"attempts": "3"},
        {"attempts": True}, {"attempts": None},
        {"wait": -1}, {"wait": NAN}, {"wait": INF}, {"wait": "30"}, {"wait": 1e12},
        {"factor": 0.5}, {"factor": NAN}, {"factor": INF},
        {"max_wait": -1}, {"max_wait": NAN}, {"max_wait": INF}, {"max_wait": 1e12},
        {"jitter": -0.1}, {"jitter": 1.1}, {"jitter": NAN},
    ],
    ids=str,
)  # fmt: skip
def test_a_retry_out_of_range_is_refused(bad: dict[str, Any]) -> None:
    """A value that would fail at the first retry is rejected where it is set."""
    (name,) = bad
    with pytest.raises(ConfigurationError, match=rf"Retry\({name}=…\) is .*; it must be"):
        Retry(**bad)


def test_durations_may_be_timedeltas() -> None:
    """`timedelta(minutes=5)` is as good as 300."""
    assert Retry(wait=timedelta(minutes=1), max_wait=timedelta(hours=1)) == Retry(  # type: ignore[arg-type]
        wait=60, max_wait=3600
    )
    assert CatchUp(max_age=timedelta(hours=1)) == CatchUp(max_age=3600)  # type: ignore[arg-type]
    checked = options(
        timeout=timedelta(seconds=5), misfire_grace=timedelta(minutes=1), jitter=timedelta(0)
    )
    assert (checked.timeout, checked.misfire_grace, checked.jitter) == (5, 60, 0)


# --------------------------------------------------------------------------------- values


def test_short_forms() -> None:
    """An integer stands for a Retry, a mode for a CatchUp, and text for an instant."""
    checked = options(retry=3, catch_up="all", start="2026-05-04T14:00:00+02:00")
    assert checked.retry == Retry(attempts=3)
    assert checked.catch_up == CatchUp("all")
    assert checked.start == NOON
    assert options(retry={"attempts": 2, "wait": 1}).retry == Retry(2, 1)
    assert options(catch_up={"mode": "all", "limit": 5}).catch_up == CatchUp("all", 5)


def test_the_short_forms_hold_for_defaults_too() -> None:
    """``JobDefaults(retry=3)`` means what ``retry=3`` means for a job."""
    checked = JobDefaults(
        retry=3,  # type: ignore[arg-type]
        catch_up="all",  # type: ignore[arg-type]
        timeout=timedelta(minutes=1),  # type: ignore[arg-type]
        end=datetime(2026, 5, 4, 14, tzinfo=timezone(timedelta(hours=2))),
    )
    assert checked == options(retry=3, catch_up="all", timeout=60, end=NOON)
    assert checked.end is not None
    assert checked.end.tzinfo is UTC
    assert encode_policy(checked) == encode_policy(
        options(retry=3, catch_up="all", timeout=60, end=NOON)
    )


def test_an_unknown_option_is_refused_with_the_nearest_one() -> None:
    """A misspelling is reported with the option, where it was set and the closest match."""
    with pytest.raises(
        UnknownOption,
        match=r"^unknown option 'misfire_grase' for job 'x'; did you mean 'misfire_grace'\?$",
    ) as error:
        options(misfire_grase=1)
    assert error.value.name == "misfire_grase"
    with pytest.raises(UnknownOption, match=r"unknown option 'zzz' for job 'x'; known: at_start, "):
        options(zzz=1)
    with pytest.raises(ConfigurationError, match=r"for job 'x'"):
        options(retry={"attemps": 3})
    with pytest.raises(ConfigurationError, match=r"for job 'x'"):
        options(catch_up={"mod": "all"})


@pytest.mark.parametrize(
    "bad",
    [
        {"queue": ""}, {"queue": "x" * 65}, {"queue": 5}, {"queue": None}, {"queue": "a\x00b"},
        {"queue": "two\nlines"}, {"queue": "\ud800"},
        {"priority": 40_000}, {"priority": -40_000}, {"priority": 1.5}, {"priority": "high"},
        {"priority": None}, {"priority": True},
        {"retry": 0}, {"retry": "3"}, {"retry": True}, {"retry": [3]}, {"retry": 2.5},
        {"timeout": 0}, {"timeout": -1}, {"timeout": NAN}, {"timeout": INF}, {"timeout": "5"},
        {"timeout": 1e15}, {"timeout": True},
        {"on_crash": "explode"}, {"on_crash": None},
        {"expires": 0}, {"expires": 1e15}, {"expires": INF},
        {"keep": 0}, {"keep": 1e9}, {"keep": INF},
        {"misfire_grace": -1}, {"misfire_grace": NAN}, {"misfire_grace": INF},
        {"misfire_grace": 1e15}, {"misfire_grace": "60"},
        {"catch_up": "some"}, {"catch_up": None}, {"catch_up": 5},
        {"overlap": "maybe"}, {"overlap": None}, {"overlap": True},
        {"max_running": 0}, {"max_running": 1001}, {"max_running": 1.5}, {"max_running": None},
        {"jitter": -1}, {"jitter": NAN}, {"jitter": INF}, {"jitter": 1e15}, {"jitter": None},
        {"max_fires": 0}, {"max_fires": 2.5}, {"max_fires": 2**70}, {"max_fires": "3"},
        {"start": "garbage"}, {"start": 5}, {"start": date(2026, 1, 1)},
        {"end": "2026-13-01T00:00:00Z"}, {"end": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_value_out_of_range_is_refused_with_its_name_and_place(bad: dict[str, Any]) -> None:
    """A value that would fail in the database or at a fire is rejected where it is set."""
    (name,) = bad
    with pytest.raises(ConfigurationError) as error:
        options(**bad)
    assert name in str(error.value).lower()
    assert "for job 'x'" in str(error.value)
    with pytest.raises(ConfigurationError):
        JobDefaults(**bad)


@pytest.mark.parametrize("name", ["start", "end"])
def test_naive_bounds_are_refused(name: str) -> None:
    """A datetime without a zone does not identify an instant, as an object or as text."""
    for naive in (NAIVE, NAIVE.isoformat()):
        with pytest.raises(NaiveDatetimeError, match=rf"{name}= is the naive datetime"):
            options(**{name: naive})
        with pytest.raises(NaiveDatetimeError, match=rf"{name}= is the naive datetime"):
            JobDefaults(**cast("Any", {name: naive}))


@pytest.mark.parametrize(
    "bad",
    [{"mode": "x"}, {"limit": 0}, {"limit": 10_001}, {"limit": 1.5}, {"limit": True},
     {"max_age": 0}, {"max_age": -1}, {"max_age": NAN}, {"max_age": INF}, {"max_age": 1e15}],
    ids=str,
)  # fmt: skip
def test_a_catch_up_out_of_range_is_refused(bad: dict[str, Any]) -> None:
    """Unknown modes and numbers out of range are rejected."""
    with pytest.raises(ConfigurationError, match="it must be"):
        CatchUp(**bad)


def test_the_largest_allowed_values_work() -> None:
    """A grace of a century and the maximum of every option cause no error later."""
    century = 100 * 365 * 86400.0
    checked = options(
        misfire_grace=century, expires=century, timeout=century, jitter=century, keep=36_500,
        priority=-32768, max_running=1000, queue="ü" * 64, retry=Retry(1000, century, 1e9, century),
    )  # fmt: skip
    assert checked.run_policy.keep_until("failed", NOON).year == 2126
    assert checked.retry is not None
    assert NOON + checked.retry.delay(999, "x") > NOON
    assert decode_options(encode_policy(checked)) == checked


def test_task_options_are_options() -> None:
    """Every option of a task is an option of a job, and includes those that a run keeps."""
    names = {field.name for field in dataclasses.fields(JobOptions)}
    assert names > TASK_OPTIONS
    assert {field.name for field in dataclasses.fields(RunPolicy)} <= TASK_OPTIONS


# ---------------------------------------------------------------------------------- codec

AGES = st.none() | st.floats(0.001, 1e9)
OPTIONS = st.builds(
    JobOptions,
    queue=st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=64),
    priority=st.integers(-32768, 32767),
    retry=st.none()
    | st.builds(
        Retry,
        attempts=st.integers(1, 1000),
        wait=st.floats(0, 1e9),
        factor=st.floats(1, 1e9),
        max_wait=st.floats(0, 1e9),
        jitter=st.floats(0, 1),
    ),
    timeout=AGES,
    on_crash=st.sampled_from(["retry", "fail"]),
    expires=AGES,
    keep=st.none() | st.floats(0.001, 36_500),
    misfire_grace=st.none() | st.floats(0, 1e9),
    catch_up=st.builds(
        CatchUp,
        mode=st.sampled_from(["latest", "all", "none"]),
        limit=st.integers(1, 10_000),
        max_age=AGES,
    ),
    overlap=st.sampled_from(["skip", "queue", "allow", "cancel_running"]),
    max_running=st.integers(1, 1000),
    jitter=st.floats(0, 1e9),
    start=st.none() | st.datetimes(timezones=st.just(UTC)),
    end=st.none() | st.datetimes(timezones=st.just(timezone(timedelta(hours=-5)))),
    max_fires=st.none() | st.integers(1, 2**31),
)


@given(OPTIONS)
def test_options_survive_being_stored(checked: JobOptions) -> None:
    """Every combination of options is read back equal, and equal options give equal text."""
    text = encode_policy(checked)
    again = decode_options(text)
    assert again == checked
    assert encode_policy(again) == text
    assert decode_run_policy(encode_policy(checked.run_policy)) == checked.run_policy


def test_what_is_default_is_not_stored() -> None:
    """A later change of Duly's defaults reaches jobs that did not set the option."""
    assert encode_policy(JobOptions()) is None
    assert encode_policy(RunPolicy()) is None
    assert encode_policy(options(timeout=5)) == '{"timeout":5}'
    assert decode_options(None) == JobOptions()


@pytest.mark.parametrize(
    "text", ['{"speed":9}', "[]", "5", "nonsense", '{"timeout":"x"}', '{"retry":{"tries":3}}', '""']
)
def test_options_of_a_newer_version_are_an_error_of_duly_s_own(text: str) -> None:
    """Undecodable options raise Duly's error, so that only their own job becomes unresolved."""
    with pytest.raises(DulyError):
        decode_options(text)


# -------------------------------------------------------------------------------- history


def test_history_is_kept_longer_for_failures() -> None:
    """Succeeded runs are kept 30 days, failed 90, others 30, unless the job sets a number."""
    days = {
        state: (RunPolicy().keep_until(state, NOON) - NOON).days
        for state in ("succeeded", "failed", "cancelled", "missed", "skipped", "discarded")
    }
    assert days.pop("failed") == 90
    assert set(days.values()) == {30}
    assert RunPolicy(keep=0.5).keep_until("failed", NOON) == NOON + timedelta(hours=12)


def test_attempts_in_all() -> None:
    """Without a retry policy a run has one attempt."""
    assert RunPolicy().max_attempts == 1
    assert RunPolicy(retry=Retry(attempts=7)).max_attempts == 7


@given(st.text())
def test_the_hash_is_a_share_below_one(text: str) -> None:
    """0 ≤ h < 1 for any text, and equal texts have equal hashes."""
    assert 0 <= unit_hash(text) < 1
    assert unit_hash(text) == unit_hash(text)


def test_the_hash_never_changes() -> None:
    """The jitter of stored jobs must not change with an upgrade."""
    assert unit_hash("duly") == pytest.approx(0.3181, abs=1e-4)
