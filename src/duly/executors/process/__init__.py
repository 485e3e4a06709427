"""Executes functions in child processes: the worker's side, the child's side, and the wire."""
