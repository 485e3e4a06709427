"""Executors: functions run on threads, on the host's event loop, or in processes of their own."""
