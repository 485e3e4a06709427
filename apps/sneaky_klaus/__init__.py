"""Sneaky Klaus: gift exchanges with secret matches, magic links and reminders, on Flask."""
