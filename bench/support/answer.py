"""A contender's side of a call: the name of a function and its arguments come, figures go.

python -m bench.support.answer duly drain '{"url": "sqlite:///x.db", "count": 1000, …}'
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

from bench.support.figures import Figures

URL = "DULY_BENCH_URL"
"""Where modules find the database that must know it when they are imported, and in helpers."""


def main() -> None:
    """Call a function of the contender's module, and print its figures as the last line."""
    module, function, given = sys.argv[1:]
    arguments = json.loads(given)
    os.environ[URL] = arguments.get("url", "")
    figures: Figures = getattr(import_module(f"bench.contenders.{module}"), function)(**arguments)
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
