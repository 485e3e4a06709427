"""The reference covers what Duly makes public."""

from __future__ import annotations

from scripts.reference import gaps


def test_every_public_name_is_in_the_reference() -> None:
    """A name that can be imported from ``duly`` is on a page and has a docstring."""
    assert list(gaps()) == []
