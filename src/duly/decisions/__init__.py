"""Decisions about the runs of jobs: the policy that makes them, and the rows that record them."""
