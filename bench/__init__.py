"""Benchmarks: Duly and its peers in one run, on one machine and database."""
