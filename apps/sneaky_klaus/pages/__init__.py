"""The pages and endpoints."""
