"""The parts of `Scheduler`: declaring, steering, asking, and its life."""
