"""A contender: a program of an environment that is called, answers with figures, and ends."""

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
LONGEST = 900


class CannotRun(Exception):
    """What a contender needs is not there, or it failed; the message says which."""


@dataclass(frozen=True)
class Contender:
    """Somebody who is measured.

    Attributes:
        name: in tables.
        module: of ``bench.contenders``.
        environment: which of ``bench/*.txt`` it is installed from; ``""``: where Duly is.
        arguments: of every call: its variant.
    """

    name: str
    module: str
    environment: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)

    def call(self, function: str, **arguments: Any) -> Figures:
        """Run it.

        Raises:
            CannotRun: it could not be installed, failed, or did not end.
        """
        try:
            python = interpreter(self.environment)
        except subprocess.CalledProcessError as error:
            raise CannotRun(f"{self.name} could not be installed: {error}") from error
        spec = json.dumps({**self.arguments, **arguments})
        command = [str(python), "-m", ANSWER, self.module, function, spec]
        # A group of its own: whatever it starts ends with it.
        process = _start(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            output, errors = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired as error:
            raise CannotRun(f"{self.name} did not end within {LONGEST} s") from error
        finally:
            _end_group(process)
        if process.returncode:
            raise CannotRun(f"{self.name} failed: {_last_word(errors, process.returncode)}")
        held: Figures = json.loads(output.decode().strip().splitlines()[-1])
        return held


def _last_word(errors: bytes, code: int) -> str:
    lines = errors.decode(errors="replace").splitlines()
    said = [line for line in lines if line.strip() and not line.startswith((" ", "(", "["))]
    return said[-1] if said else f"exit code {code}"


@contextmanager
def helpers(*commands: Sequence[str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that work beside this one, and end with the block.

    A program of this environment with its arguments: ``("celery", "worker")``; or, after a colon,
    a function of a contender: ``(":duly", "work", "{}")``.
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
