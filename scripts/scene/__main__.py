"""Build the scene, and serve its dashboard.

    python -m scripts.scene [URL] [--serve] [--port 8765] [--role viewer] [--still] [--work]

The scene is built if its database is not there; delete the file to build it anew.
"""

from __future__ import annotations

import argparse
import logging
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from duly.model.key import ROLES
from scripts.scene.serve import scene_app, serve
from scripts.scene.story import play

DEFAULT = "sqlite:///build/scene/scene.db"


def main() -> None:
    """Build the scene, unless it is there, and serve it if that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", nargs="?", default=DEFAULT, help="an empty database, or the scene")
    parser.add_argument("--serve", action="store_true", help="serve the dashboard")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--role", choices=ROLES, default="admin")
    parser.add_argument("--still", action="store_true", help="time stands still")
    parser.add_argument("--work", action="store_true", help="run a worker")
    options = parser.parse_args()
    build(options.url)
    if options.serve:
        app = scene_app(options.url, still=options.still, work=options.work, role=options.role)
        serve(app, options.port)


def build(url: str) -> None:
    """Build the scene, unless its file is there."""
    parsed = make_url(url)
    path = Path(parsed.database or "")
    is_file = parsed.get_backend_name() == "sqlite"
    if is_file and path.exists():
        return
    logging.getLogger("duly").setLevel(logging.CRITICAL)  # failures are the content here
    began = time.monotonic()
    if is_file:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder, "part.db")
            play(f"sqlite:///{part}")
            with closing(sqlite3.connect(part)) as connection:
                connection.execute("vacuum into ?", [str(path)])
    else:
        play(url)
    print(f"built {url} in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
