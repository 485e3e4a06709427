"""The contenders: each module runs as a process of its own, answers one call, and ends."""
