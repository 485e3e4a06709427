"""What a running function can read and report, and that no report can harm other runs."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from duly import Discard, RetryAfter, Run, Snooze
from duly.context import RunFacts
from duly.errors import LeaseLost, RunInterrupted
from duly.model import payload
from duly.model.run import Cause, LogLine, Progress
from duly.run_log import MAX_LINES, MAX_LOG_BYTES, RunLog

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LARGEST = 2**63 - 1


@dataclass
class Facts:
    id: str = "run-1"
    job_id: str | None = "job-1"
    task: str = "work"
    queue: str = "mail"
    scheduled_for: datetime | None = NOON
    due_at: datetime = NOON
    cause: Cause = "schedule"
    attempt: int = 2
    max_attempts: int = 5
    started_at: datetime = NOON + timedelta(seconds=1)


@pytest.fixture
def run() -> Run:
    return Run(Facts(), lambda: NOON, lambda _facts: None)


def test_a_run_exposes_its_stored_facts() -> None:
    """The run's facts, the scheduler's clock and, looked up on first use, the last success."""
    asked: list[int] = []

    def previous(_facts: RunFacts) -> datetime:
        asked.append(1)
        return NOON - timedelta(days=1)

    run = Run(Facts(), lambda: NOON + timedelta(seconds=2), previous)
    assert (run.id, run.job_id, run.task, run.queue) == ("run-1", "job-1", "work", "mail")
    assert (run.attempt, run.max_attempts, run.cause) == (2, 5, "schedule")
    assert (run.scheduled_for, run.due_at) == (NOON, NOON)
    assert run.started_at == NOON + timedelta(seconds=1)
    assert run.now() == NOON + timedelta(seconds=2)
    assert run.idempotency_key == "run-1"
    assert asked == []
    assert run.previous_success == NOON - timedelta(days=1)


def test_a_run_knows_that_it_should_stop(run: Run) -> None:
    """A stop request and a lost lease both mean that further work is pointless."""
    assert not run.cancelled
    run.request_stop()
    assert run.cancelled
    assert not run.lease_lost
    other = Run(Facts(), lambda: NOON, lambda: None)
    other.lease_lost = True
    assert other.cancelled


# ----------------------------------------------------------------------------------- track


def test_a_bad_row_does_not_stop_the_others(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Its error is logged with its traceback and counted, and the loop continues."""
    seen = []
    for item in run.track([1, 0, 2]):
        with item as number:
            seen.append(10 // number)
    assert seen == [10, 5]
    assert run.counters == {"ok": 2, "failed": 1}
    assert run.reported == Progress(3, 3)
    (record,) = caplog.records
    assert record.name == "duly.run"
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("item 0 failed: integer division")
    assert record.exc_info


def test_progress_follows_each_row(run: Run) -> None:
    """A row counts as done when its block ends; the total is known if the rows have a length."""
    seen = []
    for item in run.track(["a", "b"]):
        seen.append(run.reported)
        with item:
            pass
    assert seen == [None, Progress(1, 2)]
    assert run.reported == Progress(2, 2)

    def rows() -> Iterator[int]:
        yield from (1, 2, 3)

    for number in run.track(rows()):
        with number:
            pass
    assert run.reported == Progress(3, None)
    for number in run.track(rows(), total=99):
        with number:
            pass
    assert run.reported == Progress(3, 99)


def test_no_rows_count_nothing(run: Run) -> None:
    """Nothing is counted and nothing fails."""
    assert list(run.track([])) == []
    assert run.counters == {}


def test_the_loop_ends_the_function_when_it_must_stop(run: Run) -> None:
    """A cancelled run finishes its current row and takes no other from the generator."""
    taken = []

    def rows() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    def work() -> None:
        for item in run.track(rows()):
            with item as number:
                if number == 2:
                    run.request_stop()

    with pytest.raises(RunInterrupted):
        work()
    assert run.counters == {"ok": 3}
    assert len(taken) <= 4


@pytest.mark.parametrize(
    "signal",
    [RetryAfter(5), Snooze(seconds=5), Discard("no"), LeaseLost("gone"), KeyboardInterrupt()],
    ids=lambda signal: type(signal).__name__,
)
def test_run_signals_pass_through(run: Run, signal: BaseException) -> None:
    """A signal that concerns the whole run does not count as a bad row."""

    def work() -> None:
        for item in run.track([1, 2]):
            with item:
                raise signal

    with pytest.raises(type(signal)):
        work()
    assert run.counters == {}


def test_rows_that_cannot_be_read_fail_the_run(run: Run) -> None:
    """An error of the iterable belongs to the run and not to one of its rows."""

    def rows() -> Iterator[int]:
        yield 1
        raise RuntimeError("the connection is gone")

    def work() -> None:
        for item in run.track(rows()):
            with item:
                pass

    with pytest.raises(RuntimeError, match="connection is gone"):
        work()
    assert run.counters == {"ok": 1}


class Shy:
    """A row whose ``__repr__`` fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Mute(Exception):
    """An error whose ``__str__`` fails."""

    def __str__(self) -> str:
        raise RuntimeError("no str")


@pytest.mark.parametrize("row", [Shy(), "x" * 1_000_000, "\x00\ud800"], ids=["shy", "big", "odd"])
@pytest.mark.parametrize("error", [Mute(), ValueError("x" * 1_000_000)], ids=["mute", "long"])
def test_a_row_that_cannot_be_logged_is_isolated_all_the_same(
    run: Run, row: Any, error: Exception
) -> None:
    """A broken ``__repr__`` or ``__str__`` stops no other row, and log lines stay short."""
    for item in run.track([row, "good"]):
        with item as current:
            if current is row:
                raise error
    assert run.counters == {"ok": 1, "failed": 1}


# --------------------------------------------------------------------- counts and progress


def test_counters_add_up(run: Run) -> None:
    """Counters are named integers, and an increment may be negative."""
    run.count(sent=2, skipped=1)
    run.count(sent=3, skipped=-1)
    assert run.counters == {"sent": 5, "skipped": 0}


@pytest.mark.parametrize("amount", [float("nan"), 1.5, "1", None, [1], float("inf")], ids=repr)
def test_a_counter_takes_whole_numbers_only(run: Run, amount: Any) -> None:
    """A value that could not be stored later is rejected here, in the function at fault."""
    with pytest.raises(TypeError, match="counter 'sent' takes an integer"):
        run.count(sent=amount)
    assert run.counters == {}


def test_counters_are_only_counted_up_by_counting(run: Run) -> None:
    """No value that JSON cannot represent can bypass `count`."""
    with pytest.raises(TypeError):
        run.counters["sent"] = float("nan")  # type: ignore[index]
    run.count(sent=10**30)
    assert run.counters == {"sent": LARGEST}


@pytest.mark.parametrize(
    ("tell", "expected"),
    [
        (lambda run: run.progress(3, 10, "mails"), Progress(3, 10, "mails")),
        (lambda run: run.progress(3.9, 10.2), Progress(3, 10)),
        (lambda run: run.progress(2**80, 2**80), Progress(LARGEST, LARGEST)),
        (lambda run: run.progress(-(2**80)), Progress(-LARGEST)),
        (lambda run: run.progress(1, None, "n" * 500), Progress(1, None, "n" * 200)),
        (lambda run: run.progress(1, None, ""), Progress(1)),
        (lambda run: run.progress(1, None, "a\x00b\ud800"), Progress(1, None, "a␀b?")),
    ],
)
def test_progress_is_always_storable(
    run: Run, tell: Callable[[Run], None], expected: Progress
) -> None:
    """Numbers fit a 64-bit column, notes are cut to size, and NUL and surrogates are replaced."""
    tell(run)
    assert run.reported == expected


@pytest.mark.parametrize("done", ["3", None, float("nan"), float("inf"), [1]], ids=repr)
def test_progress_that_is_not_a_number_is_rejected_in_the_function(run: Run, done: Any) -> None:
    """The run that reports nonsense fails, and not the worker that stores every run's progress."""
    with pytest.raises((TypeError, ValueError)):
        run.progress(done)
    if done is not None:
        with pytest.raises((TypeError, ValueError)):
            run.progress(1, done)
    with pytest.raises((TypeError, ValueError)):
        run.progress(1, 2, 5)  # type: ignore[arg-type]
    assert run.reported is None


def test_what_is_counted_from_threads_can_always_be_stored(run: Run) -> None:
    """The worker reads the counters while the function's threads add new names."""
    done = threading.Event()
    problems: list[BaseException] = []

    def read() -> None:
        try:
            while not done.is_set():
                json.loads(payload.encode(dict(run.counters)))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must fail
            problems.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(20_000):
        run.count(**{f"name {number % 997}": 1})
    done.set()
    reader.join()
    assert not problems


# ------------------------------------------------------------------------------------- log


def line(message: str) -> LogLine:
    return LogLine(NOON, "INFO", "app", message)


def test_the_log_keeps_the_first_thousand_lines() -> None:
    """Later lines are counted but not kept."""
    log = RunLog()
    for number in range(MAX_LINES + 5):
        log.add(line(str(number)))
    assert log.dropped == 5
    assert [line.message for line in log.take()] == [str(number) for number in range(MAX_LINES)]


def test_the_log_keeps_256_kib() -> None:
    """A few long lines reach the limit as many short ones do."""
    log = RunLog()
    for _ in range(40):
        log.add(line("x" * 10_000))
    kept = log.take()
    assert sum(len(line.message) for line in kept) <= MAX_LOG_BYTES
    assert (len(kept), log.dropped) == (26, 14)


def test_bytes_are_counted_not_characters() -> None:
    """256 KiB hold 64 Ki characters of four bytes each."""
    log = RunLog()
    for _ in range(10):
        log.add(line("😀" * 10_000))
    assert sum(len(line.message.encode()) for line in log.take()) <= MAX_LOG_BYTES


def test_one_long_line_does_not_fill_the_log() -> None:
    """A dump of ten megabytes is shortened in its middle, and the lines after it are kept."""
    log = RunLog()
    log.add(line("before"))
    log.add(line("x" * 10_000_000))
    log.add(line("after"))
    kept = [line.message for line in log.take()]
    assert kept[0] == "before"
    assert "… cut …" in kept[1]
    assert kept[2:] == ["after"]
    assert sum(map(len, kept)) <= MAX_LOG_BYTES


def test_lines_are_taken_once() -> None:
    """Taking lines empties the log, and the limits apply to the whole run all the same."""
    log = RunLog()
    log.add(line("one"))
    assert [line.message for line in log.take()] == ["one"]
    assert log.take() == []
    for _ in range(MAX_LINES):
        log.add(line("more"))
    assert len(log.take()) == MAX_LINES - 1
    assert log.dropped == 1


def test_the_logger_is_an_ordinary_one(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """`run.log` also reaches the handlers that the application has configured."""
    with caplog.at_level(logging.INFO, "duly.run"):
        run.log.info("sent %d mails", 3)
    assert caplog.messages == ["sent 3 mails"]
