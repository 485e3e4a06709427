"""SQL that all tables share: column types, long lists, and many rows in few statements."""
