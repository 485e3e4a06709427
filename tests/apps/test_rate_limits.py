"""The rate limiter of the applications counts exactly, across threads and processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, MetaData, create_engine, func, select
from sqlalchemy.engine import make_url

from apps.rate_limits import Limit, RateLimited, RateLimiter, address_key, rate_limit_table
from duly import VirtualClock, prepare_engine

TEN = Limit("guesses", 10, timedelta(minutes=15))
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}
METADATA = MetaData()
TABLE = rate_limit_table(METADATA)

Connect = Callable[[], Engine]


@pytest.fixture
def connect(database_url: str) -> Iterator[Connect]:
    """Return an engine of a process of its own on one database."""
    engines: list[Engine] = []

    def new() -> Engine:
        url = make_url(database_url)
        url = url.set(drivername=DRIVERS.get(url.get_backend_name(), "mysql+pymysql"))
        engines.append(prepare_engine(create_engine(url, pool_size=4)))
        return engines[-1]

    METADATA.create_all(new())
    yield new
    for engine in engines:
        engine.dispose()


def taken(limiter: RateLimiter, key: str = "10.0.0.1", limit: Limit = TEN) -> bool:
    try:
        limiter.take(limit, key)
    except RateLimited:
        return False
    return True


def test_parallel_attempts_of_several_processes_are_counted_exactly(connect: Connect) -> None:
    """Of sixty attempts at once through three engines, ten are allowed."""
    clock = VirtualClock()
    limiters = [RateLimiter(connect(), TABLE, clock) for _ in range(3)]
    with ThreadPoolExecutor(12) as threads:
        results = list(threads.map(lambda n: taken(limiters[n % 3]), range(60)))
    assert sum(results) == 10


def test_the_window_slides(connect: Connect) -> None:
    """An attempt is allowed again when the oldest leaves the window, as the refusal states."""
    clock = VirtualClock()
    limiter = RateLimiter(connect(), TABLE, clock)
    two = Limit("two", 2, timedelta(seconds=60))
    assert taken(limiter, limit=two)
    clock.advance(40)
    assert taken(limiter, limit=two)
    with pytest.raises(RateLimited) as refused:
        limiter.take(two, "10.0.0.1")
    assert refused.value.retry_after == 20
    clock.advance(20)
    assert taken(limiter, limit=two)
    assert not taken(limiter, limit=two)


def test_what_was_given_back_does_not_count(connect: Connect) -> None:
    """Once, however often it is given back; keys and limits do not affect each other."""
    limiter = RateLimiter(connect(), TABLE, VirtualClock())
    one = Limit("one", 1, timedelta(seconds=60))
    attempts = []
    for _ in range(3):
        attempts.append(limiter.take(one, "a"))
        limiter.give_back(attempts[-1])
    limiter.give_back(attempts[-1])
    assert taken(limiter, "a", one)
    assert not taken(limiter, "a", one)
    assert taken(limiter, "A", one)
    assert taken(limiter, "a", Limit("other", 1, timedelta(seconds=60)))


def test_rows_of_past_windows_are_deleted(connect: Connect) -> None:
    """A client that changes its address all the time does not fill the table."""
    clock = VirtualClock()
    engine = connect()
    limiter = RateLimiter(engine, TABLE, clock)
    for n in range(20):
        limiter.take(TEN, f"10.0.0.{n}")
    clock.advance(minutes=16)
    limiter.take(TEN, "10.0.1.1")
    with engine.connect() as conn:
        assert conn.scalar(select(func.count()).select_from(TABLE)) == 1


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_addresses_of_one_network_share_a_key(address: str, key: str) -> None:
    """A customer has 2^64 addresses of IPv6, but one network."""
    assert address_key(address) == key
