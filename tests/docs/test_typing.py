"""The examples of all pages are typed as strictly as Duly itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.documents import Example, examples, pages
from tests.support.sources import ROOT


def test_the_examples_pass_a_strict_type_checker(tmp_path: Path) -> None:
    """A reader who copies a block into a project with ``mypy --strict`` sees no error."""
    for page in pages():
        write(list(examples(page)), tmp_path, re.sub(r"\W", "_", str(page.relative_to(ROOT))))
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"),
            *("--follow-imports=silent", "--explicit-package-bases"),
            "--disable-error-code=import-untyped",  # Celery and Flask-Login have no types
            "--allow-subclassing-any",
            f"--cache-dir={ROOT / '.mypy_cache' / 'examples'}",
            *map(str, sorted(tmp_path.rglob("*.py"))),
        ],
        env={**os.environ, "MYPYPATH": f"{tmp_path}:{ROOT / 'src'}:{ROOT}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.stdout, checked.returncode) == ("", 0), checked.stdout + checked.stderr


def write(found: list[Example], folder: Path, page: str) -> None:
    """Write the examples of a page: each with those that it continues, or in its file."""
    for number, example in enumerate(found):
        following = found[number + 1 :][:1]
        if example.files or any(each.program.startswith(example.program) for each in following):
            continue  # the next block continues it
        (folder / f"{page}_line_{example.line}.py").write_text(example.program)
    for example in found:
        for name, code in example.files.items():
            path = folder / page / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                re.sub(r"^(from|import) shop\b", rf"\1 {page}.shop", code, flags=re.MULTILINE)
            )
