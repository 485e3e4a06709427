"""What one can do with a scheduler: each verb has one home here."""
