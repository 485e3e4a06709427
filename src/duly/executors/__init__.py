"""Where functions run: threads, the host's event loop, or processes of their own."""
