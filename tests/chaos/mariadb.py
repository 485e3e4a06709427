"""A MariaDB server of the experiment's own, where the program is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pymysql

from tests.support.postgresql import free_port
from tests.support.waiting import wait_until

PROGRAMS = ("mariadbd", "mariadb-install-db")
ACCOUNT = "nobody"
# The data survives a crash of the server, not of the machine.
SETTINGS = {
    "bind-address": "127.0.0.1",
    "innodb-buffer-pool-size": "64M",
    "innodb-log-file-size": "32M",
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-flush-method": "nosync",
    "max-connections": "400",
    "default-time-zone": "+05:45",
    "skip-name-resolve": "1",
}


def reason_to_skip() -> str:
    """Return why no server can be started here; empty if one can."""
    missing = [name for name in PROGRAMS if program(name) is None]
    return f"{' and '.join(missing)}: not installed" if missing else ""


def program(name: str) -> str | None:
    """Return the path of a program of the server."""
    return shutil.which(
        name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    )


class MariaServer:
    """One server, made by `create`; the caller must `kill` it.

    Args:
        folder: the folder of its data and log.
        port: its port on 127.0.0.1, which a restart keeps.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def create(cls, folder: Path) -> MariaServer:
        """Create a new server and start it."""
        server = cls(folder, free_port())
        folder.mkdir()
        if os.geteuid() == 0:
            shutil.chown(folder, ACCOUNT)
        done = subprocess.run(
            [
                str(program("mariadb-install-db")), "--no-defaults", f"--datadir={folder}/data",
                "--auth-root-authentication-method=normal", "--skip-test-db", *server._account(),
            ],
            capture_output=True, text=True, check=False, cwd=folder,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout}{done.stderr}")
        server.start()
        return server

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        return self._process is not None and self._process.poll() is None

    def url(self, database: str, port: int | None = None) -> str:
        """Return the URL for SQLAlchemy."""
        return f"mysql+pymysql://root@127.0.0.1:{port or self.port}/{database}"

    def connect(self) -> Any:
        """Return a driver connection of the superuser that commits each statement."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", autocommit=True, connect_timeout=5
        )

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it does not answer; the message ends with its log.
        """
        log = self._folder / "log"
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    str(program("mariadbd")), "--no-defaults", f"--datadir={self._folder}/data",
                    f"--socket={self._folder}/socket", f"--port={self.port}",
                    f"--pid-file={self._folder}/pid", *self._account(), *settings,
                ],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                cwd=self._folder, start_new_session=True,
            )  # fmt: skip
        try:
            wait_until(self._answers, timeout=60, what="MariaDB's answer")
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{log.read_text()[-3000:]}") from error

    def kill(self) -> None:
        """Kill it, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        if not self.running:
            raise RuntimeError(f"MariaDB ended: {(self._folder / 'log').read_text()[-3000:]}")
        try:
            self.connect().close()
        except pymysql.Error:
            return False
        return True

    def _account(self) -> list[str]:
        return [f"--user={ACCOUNT}"] if os.geteuid() == 0 else []
