"""Charts: what the templates draw as SVG, computed on the server."""
