"""Alerts on the figures of advertising clients, each with a schedule of its own."""
