"""Calendars: values that exclude days or times of day from a trigger."""
