"""A reused process number is not mistaken for the process that had it before."""

from __future__ import annotations

import os
import subprocess
import sys

from duly.worker.process_identity import is_gone, own_process


def test_this_process_is_not_gone() -> None:
    """A live process is recognised by its number and its start."""
    assert not is_gone(own_process())


def test_a_number_with_another_start_is_gone() -> None:
    """The same number with another start time belongs to another process."""
    pid, started, realm = own_process().split(" ", 2)
    assert is_gone(f"{pid} {int(started) - 1} {realm}")


def test_a_process_that_ended_is_gone_even_before_its_parent_has_noticed() -> None:
    """A zombie still has its number, but it executes nothing."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    _pid, started, realm = own_process().split(" ", 2)
    assert is_gone(f"{child.pid} {started} {realm}")
    child.wait()


def test_processes_of_another_machine_are_never_gone() -> None:
    """For another boot or container the answer is unknown, so the process is not gone."""
    pid, started, realm = own_process().split(" ", 2)
    assert not is_gone(f"{pid} {int(started) - 1} another {realm}")
    assert not is_gone(f"{pid}  {realm}")
