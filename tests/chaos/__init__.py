"""Chaos: real worker processes and databases, faults drawn from a seed, and invariants to check."""
