"""The steps by which the tables came to be, for Flask-Migrate."""
