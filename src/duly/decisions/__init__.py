"""What becomes of each nominal time: the policy that decides, and the rows that record it."""
