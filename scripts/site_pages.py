"""Hooks of mkdocs: pages from outside docs/ join the site, and every link leads somewhere.

The pages at the root (README, CONTRIBUTING, …) become pages of the site. A link that leads from a
page to a file outside docs/, such as source code, becomes a link to the repository.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # mkdocs loads this file by its path

from duly import Scheduler  # noqa: E402
from scripts.reference import gaps  # noqa: E402

log = get_plugin_logger("site")
TOP = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
FILES = ("bench/results.svg",)
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
PICTURE = re.compile(r'(\b(?:src|srcset)=")docs/')
CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> None:
    """Check the reference, and replace ``folder/*`` in the navigation with the folder's pages."""
    for gap in gaps():
        log.warning(gap)
    config.nav = [_expanded(entry) for entry in config.nav or []]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages and pictures that lie outside docs/."""
    for name, page in TOP.items():
        head = "---\nhide: [navigation]\n---\n" if page == "index.md" else ""
        files.append(File.generated(config, page, content=head + (ROOT / name).read_text()))
    for name in FILES:
        files.append(File.generated(config, name, content=(ROOT / name).read_bytes()))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at pages of the site, or at the repository."""
    del files
    here = page.file.src_uri
    source = next((name for name, made in TOP.items() if made == here), f"docs/{here}")

    def moved(link: re.Match[str]) -> str:
        opening, path, anchor, closing = link.groups()
        return f"{opening}{_target(path, source, here, config)}{anchor or ''}{closing}"

    if source in TOP:
        markdown = PICTURE.sub(r"\1", markdown)
    parts = CODE.split(markdown)  # code is at the odd places
    parts[::2] = [LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def on_post_build(config: MkDocsConfig) -> None:
    """Check that the page of the scheduler documents each of its calls."""
    page = (Path(config.site_dir) / "reference" / "scheduler" / "index.html").read_text()
    for name in dir(Scheduler):
        if not name.startswith("_") and f'id="duly.Scheduler.{name}"' not in page:
            log.warning("reference/scheduler.md lacks Scheduler.%s", name)


def _target(path: str, source: str, here: str, config: MkDocsConfig) -> str:
    if re.match(r"[a-z]+:", path):
        return path
    in_repository = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if in_repository in TOP:
        in_site = TOP[in_repository]
    elif in_repository.startswith("docs/"):
        in_site = in_repository.removeprefix("docs/")
    elif in_repository in FILES:
        in_site = in_repository
    else:
        if not (ROOT / in_repository).exists():
            log.warning("%s links to %s, which does not exist", source, in_repository)
        return f"{config.repo_url}/blob/main/{in_repository}"
    return posixpath.relpath(in_site, posixpath.dirname(here) or ".")


def _expanded(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    ((title, below),) = entry.items()
    if isinstance(below, str) and below.endswith("/*"):
        folder = PurePosixPath(below).parent
        pages = sorted((ROOT / "docs" / folder).glob("*.md"), key=_order)
        return {title: [f"{folder}/{page.name}" for page in pages]}
    if isinstance(below, list):
        return {title: [_expanded(inner) for inner in below]}
    return entry


def _order(page: Path) -> tuple[bool, str]:
    return page.name != "README.md", page.name
