"""Time from the end of a stroke to its picture on the screen, in a real browser on this machine.

    python benchmarks/studio_stroke.py [MODEL] [--strokes 20] [--pictures docs/images]

MODEL is a bundled model's name or a path; without it the first bundled model is measured. With --pictures
the page is also photographed for the documentation. Needs Chromium and the packages of the test extra.
"""

import argparse
import json
import shutil
import statistics
from pathlib import Path

from studio_load import serve  # beside this script

READY = "body[data-ready=true]:has(#photo-pane[aria-busy=false])"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]

# Between the browser's own time stamp of lifting the pointer and the frame after the newest photo was drawn.
WATCH = """async () => {
  const { on } = await import("/static/js/state.js");
  window.strokes = [];
  let lifted = 0;
  const canvas = document.getElementById("layout-canvas");
  canvas.addEventListener("pointerup", (event) => (lifted = event.timeStamp));
  on("settled", () => requestAnimationFrame(() => {
    if (lifted) window.strokes.push(performance.now() - lifted);
    lifted = 0;
  }));
}"""


def measure(page, strokes: int) -> list[float]:
    """Milliseconds of each stroke, each begun when the page has come to rest."""
    page.evaluate(WATCH)
    box = page.locator("#layout-canvas").bounding_box()
    for i in range(strokes):
        page.keyboard.press("123456789"[i % 9])
        x, y = box["x"] + box["width"] * 0.3, box["y"] + box["height"] * (0.2 + 0.6 * i / strokes)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + box["width"] * 0.4, y, steps=10)
        page.mouse.up()
        page.wait_for_function("(count) => window.strokes.length > count", arg=i)
    return page.evaluate("window.strokes")


def photograph(browser, address: str, folder: Path) -> None:
    """The two pictures of the documentation: light and side by side; dark and wiped, on a phone."""
    for name, width, height, scheme, view in (
        ("studio-light", 1360, 820, "light", "side"),
        ("studio-dark", 1360, 820, "dark", "wipe"),
        ("studio-phone", 390, 844, "light", "side"),
    ):
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            device_scale_factor=2 if width < 500 else 1,
        )
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector(READY)
        page.locator(f"button[data-view={view}]").click()
        page.wait_for_function("() => !document.querySelector('#strip [data-empty=true]')")
        page.screenshot(path=folder / f"{name}.png")
        context.close()


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--strokes", type=int, default=20)
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    address = serve(arguments.model)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.wait_for_selector(READY)
        times = sorted(measure(page, arguments.strokes))
        page.close()
        if arguments.pictures:
            photograph(browser, address, arguments.pictures)
        browser.close()
    p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
    print(
        json.dumps({"strokes": len(times), "p50_ms": round(statistics.median(times)), "p95_ms": round(p95)})
    )


if __name__ == "__main__":
    main()
