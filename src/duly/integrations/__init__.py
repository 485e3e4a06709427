"""Adapters to web frameworks: when the scheduler lives, and how the application finds it."""
