"""Test an application that uses Duly: a database and a virtual clock for one test, no threads.

::

    def test_a_receipt_is_sent() -> None:
        with testing(scheduler, at="2026-03-08T06:55Z") as world:
            client.post("/orders/7/pay")
            assert_enqueued(send_receipt, args={"order": 7})
            world.advance(hours=3)
"""

from __future__ import annotations

from duly.testing.fake_run import make_run
from duly.testing.world import AioWorld, World, assert_enqueued, enqueued, testing

__all__ = ["AioWorld", "World", "assert_enqueued", "enqueued", "make_run", "testing"]
