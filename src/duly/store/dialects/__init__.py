"""What differs between databases, side by side."""
