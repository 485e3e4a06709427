"""The worker: fires due jobs, claims ready runs, executes them and writes back their results."""
