"""The command line: ``duly --help``."""
