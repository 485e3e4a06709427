"""The JSON API and the socket."""
