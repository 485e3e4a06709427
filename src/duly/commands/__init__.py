"""What one may do: each command is one step of a transaction, the caller's or Duly's own."""
