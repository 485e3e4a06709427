"""Serving a Flask application with gunicorn."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from pydantic import SecretStr

_THREADS = "4"


def become_gunicorn(
    application: str, address: str, workers: int, *, patience: float, secret_key: SecretStr
) -> NoReturn:
    """Replace this process by gunicorn.

    Args:
        application: how gunicorn finds the application: ``module:function()``.
        address: host and port.
        workers: the number of processes.
        patience: seconds that gunicorn waits for a worker that stops; longer than the grace period
            of its scheduler.
        secret_key: the key with which all workers sign.
    """
    os.environ["SECRET_KEY"] = secret_key.get_secret_value()
    os.execv(  # noqa: S606 - there is no shell to need
        sys.executable,
        [
            sys.executable, "-m", "gunicorn", "--bind", address, "--workers", str(workers),
            "--threads", _THREADS, "--no-control-socket",
            "--graceful-timeout", str(round(patience)), application,
        ],
    )  # fmt: skip
