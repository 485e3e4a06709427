"""Functions in processes of their own: the worker's side, the child's side, the wire."""
