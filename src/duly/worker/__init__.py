"""The engine: fire due jobs, claim ready runs, execute them, write back what became of them."""
