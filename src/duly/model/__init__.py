"""Immutable values that the other layers store, pass and return. They do no I/O."""
