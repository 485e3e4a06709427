"""Take pictures of every page of the dashboard, in the scene, into docs/screenshots.

    python -m scripts.screenshots [--only overview,job] [--folder docs/screenshots]

The scene, its time and the time of the browser stand still, so that the same code gives the same
pictures, up to the fonts of the machine.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

from duly import Scheduler
from scripts.scene.__main__ import DEFAULT, build
from scripts.scene.pages import pages_of
from scripts.scene.serve import KEY, scene_app
from scripts.scene.stage import SceneClock
from scripts.scene.story import NOW
from tests.support.serving import serve_asgi

ROOT = Path(__file__).resolve().parents[1]
SCREENS = {360: 760, 1280: 860, 2560: 1280}
"""The height of the picture for each width: what is seen before scrolling."""

TALL = {("overview", 1280): 1640}
"""The heights of pictures that show more, because the documentation begins with them."""

WIDE, SHOWN_WIDE = 2560, ("overview", "jobs", "job", "run-failed", "workers")
"""The pages whose wide pictures are kept: each takes as much space as a page's others."""

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LIMIT_MB = 6
QUALITY = 0.75
ENCODE = """async ([png, quality]) => {
    const bytes = Uint8Array.from(atob(png), (each) => each.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
    const canvas = new OffscreenCanvas(image.width, image.height);
    canvas.getContext("2d").drawImage(image, 0, 0);
    const webp = await canvas.convertToBlob({type: "image/webp", quality});
    const encoded = new Uint8Array(await webp.arrayBuffer());
    return btoa(Array.from(encoded, (each) => String.fromCharCode(each)).join(""));
}"""


def main() -> None:
    """Take all pictures, or those of some pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="names of pages, separated by commas")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("--url", default=DEFAULT, help="the database of the scene")
    options = parser.parse_args()
    build(options.url)
    options.folder.mkdir(parents=True, exist_ok=True)
    only = set(filter(None, options.only.split(",")))
    with served(options.url) as base, browser() as chromium:
        for name, path in pages_of(Scheduler(options.url, clock=SceneClock(NOW, NOW))):
            if not only or name in only:
                take(chromium, base, path, options.folder / name)
    size = sum(file.stat().st_size for file in options.folder.glob("*.webp")) / 1e6
    print(f"{size:.1f} MB in {options.folder}")
    if size > LIMIT_MB:
        sys.exit(f"that is more than {LIMIT_MB} MB; take fewer pages or lower ones")


@contextmanager
def served(url: str) -> Iterator[str]:
    """Serve the scene for the body of a ``with`` statement; yield the address."""
    with serve_asgi(scene_app(url, still=True, work=False)) as address:
        yield f"{address}/duly"


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the Chromium that the browser tests use."""
    from tests.support.browser import OPTIONS, find_chromium  # noqa: PLC0415 - it imports pytest

    path = find_chromium()
    if path is None:
        sys.exit("no Chromium found; install one, or name it in DULY_TEST_CHROMIUM")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield chromium
        chromium.close()


def take(chromium: Browser, base: str, path: str, target: Path) -> None:
    """Take the pictures of one page.

    Args:
        chromium: the browser.
        base: the address of the dashboard.
        path: the path of the page.
        target: the file without its ending, to which theme and width are added.
    """
    for theme in THEMES:
        encoder = chromium.new_page()
        context = chromium.new_context(color_scheme=theme, reduced_motion="reduce")
        page = context.new_page()
        page.clock.set_fixed_time(NOW)
        page.goto(f"{base}/?key={KEY}")
        page.goto(base + path)
        for width, height in SCREENS.items():
            if width == WIDE and target.name not in SHOWN_WIDE:
                continue
            shown = TALL.get((target.name, width), height)
            picture(page, encoder, width, shown, Path(f"{target}-{theme}-{width}.webp"))
        context.close()
        encoder.close()


def picture(page: Page, encoder: Page, width: int, height: int, file: Path) -> None:
    """Take one picture, as WebP, which takes a third of PNG."""
    page.set_viewport_size({"width": width, "height": height})
    png = page.screenshot(animations="disabled", caret="hide", scale="css")
    webp = encoder.evaluate(ENCODE, [base64.b64encode(png).decode(), QUALITY])
    file.write_bytes(base64.b64decode(webp))


if __name__ == "__main__":
    main()
