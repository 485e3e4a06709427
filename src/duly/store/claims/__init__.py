"""Choosing and claiming ready runs: plain ones, those under limits, and quarantined ones."""
