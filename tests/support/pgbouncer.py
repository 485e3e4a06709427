"""A real PgBouncer in transaction pooling mode, in front of a test's PostgreSQL."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.support.postgresql import PostgresServer, free_port, give_away, unprivileged
from tests.support.session import session_folder
from tests.support.waiting import wait_until

PGBOUNCER = shutil.which("pgbouncer")
CONFIG = """
[databases]
* = host=127.0.0.1 port={server} user=postgres password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 100
ignore_startup_parameters = extra_float_digits
"""


@contextmanager
def pooled(url: str, server: PostgresServer, folder: Path) -> Iterator[str]:
    """Yield a URL that leads to a database through a pooler with three connections for all clients.

    Args:
        url: the URL of the database.
        server: its server.
        folder: where the pooler writes its log.
    """
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")
    direct, port = make_url(url), free_port()
    config, log = session_folder() / f"pgbouncer-{port}.ini", folder / "pgbouncer.log"
    config.write_text(CONFIG.format(server=server.port, port=port, password=direct.password or ""))
    give_away(config)
    with log.open("w") as output:
        process = subprocess.Popen(
            [PGBOUNCER, config], stdout=output, stderr=output, **unprivileged()
        )
    try:
        wait_until(lambda: "process up" in log.read_text(), what=f"pgbouncer, {log}")
        yield direct.set(port=port).render_as_string(hide_password=False)
    finally:
        process.terminate()
        process.wait(240)
        config.unlink()
