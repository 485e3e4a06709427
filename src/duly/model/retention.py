"""How long what happened is kept, apart from runs, of which `RunPolicy.keep_until` decides."""

from __future__ import annotations

from datetime import timedelta

KEEP_EVENTS = timedelta(days=90)
"""How long events, finished jobs and missed ranges are kept."""

KEEP_SENT = timedelta(days=30)
KEEP_DEAD = timedelta(days=90)
"""How long notices are kept after they were sent or given up, and what is known of a subject."""
