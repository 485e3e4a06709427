"""Wall-clock time: zones, clock changes, patterns of days and times, and the search in them."""
