"""Where functions run: threads, the host's event loop, and later processes and Celery."""
