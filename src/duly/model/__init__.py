"""Frozen values: what is stored, and what the rest of Duly speaks about. No input or output."""
