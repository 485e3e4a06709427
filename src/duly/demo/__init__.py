"""The sample that ``duly demo`` serves: an online shop whose jobs show what Duly does."""
