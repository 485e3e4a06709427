"""Decisions about nominal times: the policy that makes them, and the rows that record them."""
