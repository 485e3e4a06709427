"""Duly behind a real PgBouncer in transaction pooling mode."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from duly import Scheduler, every
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


@pytest.fixture
def pooled_url(
    prepared_postgresql_url: str, postgres: PostgresServer, tmp_path: Path
) -> Iterator[str]:
    """The database through a pooler with three connections for all clients."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not here")
    direct, port = make_url(prepared_postgresql_url), free_port()
    config, log = session_folder() / f"pgbouncer-{port}.ini", tmp_path / "pgbouncer.log"
    config.write_text(
        CONFIG.format(server=postgres.port, port=port, password=direct.password or "")
    )
    give_away(config)
    with log.open("w") as told:
        process = subprocess.Popen([PGBOUNCER, config], stdout=told, stderr=told, **unprivileged())
    try:
        wait_until(lambda: "process up" in log.read_text(), what=f"pgbouncer, {log}")
        yield direct.set(port=port).render_as_string(hide_password=False)
    finally:
        process.terminate()
        process.wait(240)
        config.unlink()


def test_many_threads_share_three_connections(pooled_url: str) -> None:
    """Jobs fire, calls run, locks have their timeout, and no session state is left behind."""
    scheduler = Scheduler(pooled_url, pooler=True, queues={"default": 10})
    called: list[int] = []

    @scheduler.task()
    def call(n: int) -> None:
        called.append(n)

    scheduler.task(name="beat")(lambda: None)
    scheduler.add("beat", every(seconds=1), id="beat")
    with scheduler.running():
        threads = [
            threading.Thread(target=lambda k=k: [scheduler.enqueue("call", n=k) for _ in range(10)])
            for k in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: len(called) >= 80)
        wait_until(lambda: scheduler.runs(job="beat", state="succeeded"))
        assert scheduler.health().ok
    with scheduler.store.write() as tx:
        assert tx.conn.exec_driver_sql("show lock_timeout").scalar() == "5s"
        assert tx.conn.exec_driver_sql("select count(*) from pg_prepared_statements").scalar() == 0
    scheduler.store.dispose()
