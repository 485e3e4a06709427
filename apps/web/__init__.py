"""What the HTML pages of the applications share: style, scripts, macros and protected forms."""
