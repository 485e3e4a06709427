"""The command line interface; see ``duly --help``."""
