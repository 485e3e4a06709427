"""What one can do with jobs: define, store, edit, pause and remove them."""
