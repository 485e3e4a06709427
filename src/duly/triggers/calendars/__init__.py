"""Calendars: values that leave out days or hours from a trigger."""
