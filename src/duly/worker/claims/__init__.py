"""Claiming: which ready runs this worker may execute, and how it takes them."""
