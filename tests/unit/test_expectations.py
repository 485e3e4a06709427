"""The book of what a simulation's client knows: it must not claim more than it was told."""

from __future__ import annotations

from functools import partial

from simulation.expectations import Book, Known


def test_a_change_that_is_under_way_may_still_be_made() -> None:
    """A process stands still in the middle of an edit; another one's is acknowledged meanwhile."""
    book = Book({"j": {Known(True, False, 0)}})
    with book.issue("j", partial(Known.edited, n=1)):
        with book.issue("j", partial(Known.edited, n=2)) as second:
            book.acknowledged(second)
        assert {known.n for known in book.of("j")} == {1, 2}
    with book.issue("j", partial(Known.edited, n=3)) as third:
        book.acknowledged(third)
    assert {known.n for known in book.of("j")} == {3}


def test_what_is_acknowledged_alone_is_known() -> None:
    """Nothing else was on its way."""
    book = Book({"j": {Known(True, False, 0)}})
    with book.issue("j", partial(Known.set_paused, paused=True)) as issued:
        assert len(book.of("j")) == 2
        book.acknowledged(issued)
    assert book.of("j") == {Known(True, True, 0)}
