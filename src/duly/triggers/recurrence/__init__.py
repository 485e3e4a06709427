"""The RRULE trigger: recurrence rules of iCalendar (RFC 5545)."""
