"""Engine rule 24: in a rolling deploy the newer version wins, and no job is lost by accident."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import event

from duly import Scheduler, Trigger, every
from duly.errors import ConfigurationError
from duly.model.release import Release, check_version
from tests.store.conftest import at_once
from tests.worker.conftest import World
from tests.worker.internals import die

Jobs = Mapping[str, Trigger]
MINUTE, SEVEN, HOUR = every(seconds=60), every(seconds=7), every(hours=1)


def program(world: World, jobs: Jobs, version: Any = None, **said: Any) -> Scheduler:
    """Return the scheduler of a process of one version that declares these jobs, not started."""
    scheduler = world.scheduler(version=version, orphans=said.pop("orphans", "report"))
    work = scheduler.task(name="work")(lambda: None)
    for job_id, trigger in jobs.items():
        scheduler.job(trigger, id=job_id, **said)(work)
    return scheduler


def deploy(world: World, jobs: Jobs, version: Any = None, **said: Any) -> Scheduler:
    """Start a process of one version that declares these jobs."""
    scheduler = program(world, jobs, version, **said)
    scheduler.tick()
    return scheduler


def kinds(scheduler: Scheduler, job_id: str) -> list[str]:
    """Return the kinds of a job's events, oldest first, without those of its runs."""
    happened = [event.kind for event in scheduler.events(job=job_id)]
    return [kind for kind in happened if kind.startswith("job.")]


def fires(scheduler: Scheduler, job_id: str) -> str:
    """Return the description of a job's trigger."""
    return str(scheduler.job(job_id).trigger)


# -------------------------------------------------------------------------- which one wins


@pytest.mark.parametrize("newer_first", [False, True], ids=["older_first", "newer_first"])
def test_rule_24_the_newer_version_wins_while_both_run(world: World, newer_first: bool) -> None:
    """The newer version's trigger and options apply, in whichever order the processes start."""
    starts = [lambda: deploy(world, {"j": MINUTE}, 1), lambda: deploy(world, {"j": SEVEN}, 2)]
    processes = [start() for start in (starts[::-1] if newer_first else starts)]
    assert {fires(scheduler, "j") for scheduler in processes} == {"every 7 seconds"}


def test_rule_24_an_older_version_that_starts_again_reverts_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Every field stays; each start is logged, and the audit trail records the refusal once."""
    old = deploy(world, {"j": MINUTE}, "1.9", timeout=5)
    new = deploy(world, {"j": SEVEN}, "1.10", timeout=8)
    held = new.job("j")
    for _ in range(3):
        old.stop()
        caplog.clear()
        with caplog.at_level(logging.WARNING, "duly"):
            old = deploy(world, {"j": MINUTE}, "1.9", timeout=5)
            old.prepare()
        told = [
            m for m in caplog.messages if "declaration of job 'j': its version (1.9) is older" in m
        ]
        assert len(told) == 1
    assert new.job("j") == held
    (kept,) = new.events(job="j", kind="job.kept")
    assert kept.detail == {"version": "1.9", "by": "1.10"}


def test_rule_24_an_unchanged_declaration_of_a_newer_version_counts(world: World) -> None:
    """Version 1 can no longer change a job that version 2 declares without a change."""
    deploy(world, {"j": MINUTE}, 1).stop()
    before = deploy(world, {"j": MINUTE}, 3).job("j")
    scheduler = deploy(world, {"j": SEVEN}, 2)
    assert scheduler.job("j") == before


def test_rule_24_the_same_version_may_change_its_jobs(world: World) -> None:
    """During development a version is not raised for every change."""
    deploy(world, {"j": MINUTE}, 1).stop()
    assert fires(deploy(world, {"j": SEVEN}, 1), "j") == "every 7 seconds"


def test_rule_24_a_rollback_takes_a_higher_version(world: World) -> None:
    """Old code changes nothing under its old version; deployed as version 3 it applies."""
    deploy(world, {"j": MINUTE}, 1).stop()
    deploy(world, {"j": SEVEN}, 2).stop()
    again = deploy(world, {"j": MINUTE}, 1)
    assert fires(again, "j") == "every 7 seconds"
    again.stop()
    assert fires(deploy(world, {"j": MINUTE}, 3), "j") == "every minute"


def test_rule_24_two_versions_that_meet_a_new_job_agree(world: World) -> None:
    """If both store the job at the same time, the newer version's declaration stays."""
    old = program(world, {f"j{number}": MINUTE for number in range(8)}, 1)
    new = program(world, {f"j{number}": SEVEN for number in range(8)}, 2)
    at_once(old.prepare, new.prepare)
    old.prepare()
    assert {str(job.trigger) for job in new.jobs()} == {"every 7 seconds"}


def test_rule_24_a_late_declaration_follows_the_same_rule(world: World) -> None:
    """An older process that imports a module after its start reverts nothing."""
    old = deploy(world, {}, 1)
    new = deploy(world, {"late": SEVEN}, 2)
    old.job(MINUTE, id="late")(old.task(name="late")(lambda: None))
    assert fires(new, "late") == "every 7 seconds"
    assert kinds(new, "late") == ["job.added", "job.kept"]


def test_rule_24_an_older_version_brings_back_nothing_that_was_removed(world: World) -> None:
    """A process of the old code does not add a job that was dropped and then removed by hand."""
    old = deploy(world, {"a": MINUTE, "b": MINUTE}, 1)
    new = deploy(world, {"a": MINUTE}, 2)
    new.remove("b")
    old.stop()
    deploy(world, {"a": MINUTE, "b": MINUTE}, 1)
    assert [job.id for job in new.jobs()] == ["a"]
    assert kinds(new, "b") == ["job.added", "job.removed", "job.kept"]


def test_rule_24_without_a_version_the_last_one_wins(world: World) -> None:
    """Without versions, each start applies its declarations."""
    deploy(world, {"j": MINUTE})
    deploy(world, {"j": SEVEN})
    scheduler = deploy(world, {"j": MINUTE})
    assert fires(scheduler, "j") == "every minute"
    assert kinds(scheduler, "j") == ["job.added", "job.changed", "job.changed"]


def test_rule_24_no_version_is_older_than_any(world: World) -> None:
    """The deploy that introduces versions may be a rolling deploy, too."""
    old = deploy(world, {"j": MINUTE})
    new = deploy(world, {"j": SEVEN}, 1)
    old.stop()
    deploy(world, {"j": MINUTE})
    assert fires(new, "j") == "every 7 seconds"
    assert new.events(job="j", kind="job.kept")[0].detail == {"version": None, "by": "1"}


def test_rule_24_a_hand_edit_outlives_deploys_of_both_versions(world: World) -> None:
    """Edited fields survive all deploys; a reset restores the newest declaration."""
    old = deploy(world, {"j": MINUTE}, 1, timeout=5)
    old.edit("j", trigger=HOUR, actor="ana")
    old.stop()
    new = deploy(world, {"j": SEVEN}, 2, timeout=8)
    deploy(world, {"j": MINUTE}, 1, timeout=5)
    job = new.job("j")
    assert (str(job.trigger), job.options.timeout, job.overridden) == (
        "every hour", 8, ("trigger",),
    )  # fmt: skip
    assert str(new.reset("j").trigger) == "every 7 seconds"


# --------------------------------------------------------------------------------- orphans


def test_rule_24_a_dropped_job_is_an_orphan_once_the_old_worker_is_gone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Once no version 1 worker is left, one event and one warning follow, and the job continues."""
    old = deploy(world, {"a": HOUR, "b": MINUTE}, 1)
    new = deploy(world, {"a": HOUR}, 2)
    for _ in range(4):
        world.forward(new, 31)
        old.tick()
    assert new.orphans() == []
    old.stop()
    with caplog.at_level(logging.WARNING, "duly"):
        for _ in range(4):
            world.forward(new, 31)
    assert [(job.id, job.state) for job in new.orphans()] == [("b", "active")]
    assert kinds(new, "b") == ["job.added", "job.orphaned"]
    told = [message for message in caplog.messages if "'b' is no longer declared" in message]
    assert len(told) == 1
    assert "keeps firing" in told[0]
    assert new.job("b").fired_count >= 4


def test_rule_24_a_killed_worker_declares_until_it_is_rescued_from(world: World) -> None:
    """A killed process counts as declaring its jobs until it is declared dead."""
    old = deploy(world, {"a": HOUR, "b": HOUR}, 1)
    new = deploy(world, {"a": HOUR}, 2)
    die(old)
    for _ in range(20):
        world.forward(new, 10)
    assert [event.kind for event in new.events() if event.kind.endswith("lost")] == ["worker.lost"]
    assert [job.id for job in new.orphans()] == ["b"]


def test_rule_24_orphans_are_paused_on_request(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """They are paused with a reason, and nothing is deleted."""
    deploy(world, {"a": HOUR, "b": MINUTE}, 1).stop()
    with caplog.at_level(logging.WARNING, "duly"):
        new = deploy(world, {"a": HOUR}, 2, orphans="pause")
    (orphan,) = new.orphans()
    assert (orphan.id, orphan.state, orphan.paused_by) == ("b", "paused", "code")
    assert orphan.paused_reason == "no longer declared in code"
    assert kinds(new, "b") == ["job.added", "job.orphaned", "job.paused"]
    assert any("'b' is no longer declared" in m and "is paused" in m for m in caplog.messages)
    world.forward(new, 600)
    assert new.runs(job="b") == []


@pytest.mark.parametrize("version", [1, 3], ids=["older", "newer"])
def test_rule_24_a_return_undoes_a_pause_that_code_made(world: World, version: int) -> None:
    """A job that is declared again, by a newer or an old version, is resumed."""
    deploy(world, {"a": HOUR, "b": HOUR}, 1).stop()
    new = deploy(world, {"a": HOUR}, 2, orphans="pause")
    deploy(world, {"a": HOUR, "b": HOUR}, version)
    world.forward(new, 31)
    assert new.orphans() == []
    job = new.job("b")
    assert (job.state, job.paused_by, job.paused_reason) == ("active", None, None)
    assert kinds(new, "b")[-1] == "job.resumed"


def test_rule_24_a_return_leaves_a_pause_that_a_person_made(world: World) -> None:
    """A job that a person paused before it became an orphan stays paused when it returns."""
    old = deploy(world, {"a": HOUR, "b": HOUR}, 1)
    old.pause("b", reason="wait", actor="ana")
    old.stop()
    deploy(world, {"a": HOUR}, 2, orphans="pause").stop()
    back = deploy(world, {"a": HOUR, "b": SEVEN}, 3).job("b")
    assert (back.state, back.paused_by, back.paused_reason) == ("paused", "ana", "wait")
    assert str(back.trigger) == "every 7 seconds"


def test_rule_24_a_person_may_take_over_a_pause_that_code_made(world: World) -> None:
    """A person who pauses the job again owns the pause, which stays when the job returns."""
    deploy(world, {"a": HOUR, "b": HOUR}, 1).stop()
    new = deploy(world, {"a": HOUR}, 2, orphans="pause")
    assert new.pause("b", reason="not yet", actor="ana") == 1
    back = deploy(world, {"a": HOUR, "b": HOUR}, 3).job("b")
    assert (back.state, back.paused_by, back.paused_reason) == ("paused", "ana", "not yet")


def test_rule_24_an_orphan_that_a_person_resumes_stays_active(world: World) -> None:
    """An orphan is paused once, when it becomes one."""
    deploy(world, {"a": HOUR, "b": HOUR}, 1).stop()
    new = deploy(world, {"a": HOUR}, 2, orphans="pause")
    new.resume("b", actor="ana")
    for _ in range(3):
        world.forward(new, 31)
    deploy(world, {"a": HOUR}, 3, orphans="pause")
    assert new.job("b").state == "active"


def test_rule_24_the_newest_version_declares_also_while_none_of_it_runs(world: World) -> None:
    """If its only process stops, the older ones do not treat its new job as an orphan."""
    old = deploy(world, {"a": HOUR}, 1, orphans="pause")
    deploy(world, {"a": HOUR, "b": HOUR}, 2).stop()
    world.forward(old, 31)
    assert old.orphans() == []
    assert old.job("b").state == "active"


def test_rule_24_the_last_declared_job_may_go_too(world: World) -> None:
    """A version may declare no job at all."""
    deploy(world, {"j": HOUR}, 1).stop()
    assert [job.id for job in deploy(world, {}, 2).orphans()] == ["j"]


def test_rule_24_programs_of_one_version_declare_together(world: World) -> None:
    """A web and a worker process of one version do not make orphans of each other's jobs."""
    web, worker = deploy(world, {"a": HOUR}, 1), deploy(world, {"b": HOUR}, 1)
    worker.stop()
    world.forward(web, 31)
    web.stop()
    assert deploy(world, {"b": HOUR}, 1, orphans="pause").orphans() == []


def test_rule_24_without_versions_only_a_single_worker_finds_orphans(world: World) -> None:
    """Another worker without a version may be the one that declares the job."""
    old = deploy(world, {"a": HOUR, "b": HOUR})
    new = deploy(world, {"a": HOUR})
    world.forward(new, 31)
    assert new.orphans() == []
    old.stop()
    world.forward(new, 31)
    assert [job.id for job in new.orphans()] == ["b"]
    assert kinds(new, "b") == ["job.added", "job.orphaned"]


# -------------------------------------------------------------------------------- versions


def test_rule_24_versions_are_put_in_order_by_their_numbers() -> None:
    """Versions compare by number, not as text, and no version precedes every version."""
    rising = [None, 1, "1.0", "1.9", "v1.10", 2, "2026.01.05", "2026.11.21"]
    stored = [check_version(version) for version in rising]
    assert stored == ["", "1", "1.0", "1.9", "1.10", "2", "2026.1.5", "2026.11.21"]
    for older, newer in pairwise(stored):
        assert Release("app", older).is_before(newer)
        assert not Release("app", newer).is_before(older)


@pytest.mark.parametrize("wrong", ["", "abc1234", "1.2-rc1", -1, 1.5, True, "1" * 65, "1.", "٣"])
def test_rule_24_a_version_without_an_order_is_refused(wrong: Any) -> None:
    """The error is raised at once and names what to pass instead."""
    with pytest.raises(ConfigurationError, match="give numbers that increase with every deploy"):
        Scheduler("sqlite://", version=wrong)


def test_rule_24_an_unknown_choice_for_orphans_is_refused() -> None:
    """The error is raised at once and lists the choices."""
    with pytest.raises(ConfigurationError, match=r"orphans='delete'; it must be one of \('report"):
        Scheduler("sqlite://", orphans="delete")  # type: ignore[arg-type]


def test_a_start_that_changes_nothing_waits_for_no_lock(world: World) -> None:
    """A process with unchanged declarations does not lock the jobs."""
    deploy(world, {"j": HOUR, "k": MINUTE}, 1)
    again = program(world, {"j": HOUR, "k": MINUTE}, 1)
    changed = program(world, {"j": HOUR, "k": SEVEN}, 1)
    asked: list[Any] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if "FOR UPDATE" in statement and "duly_job" in statement:
            asked.append(parameters)

    for scheduler in (again, changed):
        event.listen(scheduler.store.engine, "before_cursor_execute", note)
    again.prepare()
    assert asked == []
    changed.prepare()
    assert fires(changed, "k") == "every 7 seconds"
    assert "'j'" not in str(asked)
