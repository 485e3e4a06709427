"""The pages of client users and of operators."""
