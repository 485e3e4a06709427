"""A realistic database of 200 jobs, the same at every call, to look at and to test pages with."""
