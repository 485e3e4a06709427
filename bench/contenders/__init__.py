"""What is measured: each module is run as a process of its own, answers one call, and ends."""
