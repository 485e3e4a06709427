"""The limit: a loop written by hand with the driver alone, on the same database and durability."""

from __future__ import annotations

import time

from bench.contenders.loops import Loop, loop_on
from bench.support.figures import Figures, at_share

BATCHES = {1: 10_000, 10: 40_000, 100: 100_000, 1000: 200_000}
"""Rows in a claim, and how many rows are there to be claimed."""


def turnover(url: str, seconds: float) -> Figures:
    """Rows claimed and completed in a second, by batch."""
    loop = loop_on(url)
    return {str(batch): _turn(loop, batch, rows, seconds) for batch, rows in BATCHES.items()}


def insert(url: str, seconds: float) -> Figures:
    """Rows inserted in a second, by batch."""
    loop = loop_on(url)
    figures = {}
    for batch in BATCHES:
        loop.fill(0)
        began, turns = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            loop.insert(batch, turns)
            turns += 1
        figures[str(batch)] = turns * batch / (time.perf_counter() - began)
    return figures


def pair(url: str, count: int) -> Figures:
    """Milliseconds that it takes to insert one row and to claim it."""
    loop = loop_on(url)
    loop.fill(0)
    taken = []
    for turn in range(count):
        began = time.perf_counter()
        loop.insert(1, turn)
        ids = loop.claim(1)
        taken.append((time.perf_counter() - began) * 1000)
        loop.complete(ids)
    return {"p50": at_share(taken, 0.5), "p99": at_share(taken, 0.99)}


def churn(url: str, count: int, batch: int) -> Figures:
    """Milliseconds of a claim that skips what is locked, while dead rows add up."""
    loop = loop_on(url)
    loop.fill(count)
    taken = []
    for _ in range(0, count, batch):
        began = time.perf_counter()
        ids = loop.claim(batch)
        taken.append((time.perf_counter() - began) * 1000)
        loop.complete(ids)
    part = max(1, len(taken) // 10)
    first, last = at_share(taken[:part], 0.99), at_share(taken[-part:], 0.99)
    return {"first": first, "last": last, "p99": at_share(taken, 0.99)}


def _turn(loop: Loop, batch: int, rows: int, seconds: float) -> float:
    loop.fill(rows)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        ids = loop.claim(batch)
        if not ids:
            break
        loop.complete(ids)
        done += len(ids)
    return done / (time.perf_counter() - began)
