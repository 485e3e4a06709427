"""A contender: a program that is started in its environment, prints its figures, and ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.support.environments import ROOT, interpreter, variables
from bench.support.figures import Figures

ANSWER = "bench.support.answer"
TIMEOUT = 900


class CannotRun(Exception):
    """A contender failed, or something that it needs is missing; the message tells what."""


@dataclass(frozen=True)
class Contender:
    """A library, or a variant of its settings, that is measured.

    Attributes:
        name: its name in tables.
        module: its module in ``bench.contenders``.
        environment: the list among ``bench/*.txt`` that it is installed from; empty for the
            environment of Duly.
        arguments: the arguments that each call of this variant gets.
    """

    name: str
    module: str
    environment: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)

    def call(self, function: str, **arguments: Any) -> Figures:
        """Call a function of its module in a new process, and return the figures.

        Raises:
            CannotRun: it could not be installed, failed, or did not end in time.
        """
        try:
            python = interpreter(self.environment)
        except subprocess.CalledProcessError as error:
            raise CannotRun(f"{self.name} could not be installed: {error}") from error
        spec = json.dumps({**self.arguments, **arguments})
        command = [str(python), "-m", ANSWER, self.module, function, spec]
        # In a process group of its own, so that all processes that it starts end with it.
        process = _start(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            output, errors = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise CannotRun(f"{self.name} did not end within {TIMEOUT} s") from error
        finally:
            _end_group(process)
        if process.returncode:
            raise CannotRun(f"{self.name} failed: {_last_error(errors, process.returncode)}")
        figures: Figures = json.loads(output.decode().strip().splitlines()[-1])
        return figures


def _last_error(errors: bytes, code: int) -> str:
    lines = errors.decode(errors="replace").splitlines()
    errors_only = [line for line in lines if line.strip() and not line.startswith((" ", "(", "["))]
    return errors_only[-1] if errors_only else f"exit code {code}"


@contextmanager
def helpers(*commands: Sequence[str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run other processes during the block.

    Args:
        commands: each is a program of this environment with its arguments, such as
            ``("celery", "worker")``, or a function of a contender after a colon, such as
            ``(":duly", "work", "{}")``.
    """
    started = [
        _start(
            [sys.executable, "-m", ANSWER, first[1:], *rest]
            if first.startswith(":")
            else [str(Path(sys.executable).with_name(first)), *rest],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for first, *rest in commands
    ]
    try:
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            _end(process)


def _end(process: subprocess.Popen[bytes], patience: float = 5) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    process.kill()
    process.wait()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=ROOT, env=variables(), **options)
