"""``python -m duly.cli``: the command ``duly``."""

from __future__ import annotations

from duly.cli.main import main

main(prog_name="duly")
