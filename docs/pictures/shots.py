"""Takes the pictures of pages in docs/: `python docs/pictures/shots.py RUN`.

Needs the extra `browser` and a chromium. The live page is taken as RUN stands: while a run works
there, or after it.
"""

import io
import shutil
import sys
import threading
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from archpress.watching import Watched, WatchServer

WIDTH = 1240  # pixels
HERE = Path(__file__).parent
DRAWN = "[...document.querySelectorAll('[data-figure]')].every((box) => box.dataset.drawn)"


def take(page: Page, name: str, first: str, last: str) -> None:
    """From one element to another, as wide as the page."""
    top, bottom = (page.locator(place).first.bounding_box() for place in (first, last))
    assert top
    assert bottom
    ends = top["y"] - 20, bottom["y"] + bottom["height"] + 20
    clip = {"x": 0, "y": max(0, ends[0]), "width": WIDTH, "height": ends[1] - ends[0]}
    shot = page.screenshot(full_page=True, clip=clip)  # type: ignore[arg-type]
    Image.open(io.BytesIO(shot)).save(HERE / f"{name}.webp", quality=80, method=6)


def main(run: Path) -> None:
    """All pictures."""
    with sync_playwright() as playwright, WatchServer(Watched(run)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=where, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto(server.url)
        page.wait_for_timeout(2000)
        take(page, "watch", "header", "[data-chart=best]")
        if page.locator("#explore").is_visible():
            page.locator("#explore summary").click()
            page.locator("#explore-panel h3").wait_for()
            page.evaluate("window.scrollTo(0, 0)")
            take(page, "watch-explorer", "#explore", "#explore-map")
        if (run / "report.html").exists():
            page.goto((run / "report.html").resolve().as_uri())
            page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
            while not page.evaluate(DRAWN):
                page.wait_for_timeout(50)
            take(page, "report", "#trials", "#trials ~ .figures figure")
            take(page, "explorer", "#explore", "#explorer")
        server.shutdown()
        browser.close()


main(Path(sys.argv[1]))
