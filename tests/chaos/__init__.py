"""Chaos: real worker processes, real databases, faults drawn from a seed, and what must hold."""
