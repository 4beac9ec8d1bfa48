"""The page itself: contrast in light and dark, names for screen readers, no sideways scrolling."""

import pytest
from fake_engine import FakeEngine
from pages import run, settled

pytestmark = pytest.mark.browser

CONTRASTS = """() => {
  const parse = (text) => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    context.fillStyle = text;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
    return { rgb: [red, green, blue], alpha: alpha / 255 };
  };
  const luminance = (rgb) => {
    const [red, green, blue] = rgb.map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { rgb, alpha } = parse(getComputedStyle(at).backgroundColor);
      if (alpha > 0.5) return rgb;
    }
    return parse(getComputedStyle(document.body).backgroundColor).rgb;
  };
  const results = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim());
    const drawn = element instanceof SVGSVGElement;
    if (!text.length && !drawn) continue;
    if (!element.checkVisibility() || element.closest(":disabled, .hidden, .off")) continue;
    const colors = [parse(getComputedStyle(element).color).rgb, ground(element)].map(luminance);
    const ratio = (Math.max(...colors) + 0.05) / (Math.min(...colors) + 0.05);
    results.push({ what: drawn ? "icon" : text[0].data.trim(), ratio });
  }
  return results;
}"""

NAMELESS = """() => {
  const controls = [...document.querySelectorAll("button, input, select, a, canvas, [role=slider]")];
  const nameless = controls.filter((element) => {
    const label = element.getAttribute("aria-label") ||
      element.labels?.[0]?.textContent || element.textContent;
    return !label.trim();
  });
  return nameless.map((element) => element.outerHTML.slice(0, 120));
}"""


def test_contrast_and_names_in_light_and_dark(page, picture):
    for place in (None, "#new", "#size", "#variations", "#help"):
        if place:
            page.locator(place).click()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            measured = page.evaluate(CONTRASTS)
            assert len(measured) > 30
            # WCAG AA: 4.5 for text; 3 for what is drawn.
            poor = [found for found in measured if found["ratio"] < (3 if found["what"] == "icon" else 4.5)]
            assert poor == []
            picture(page, f"{scheme}{place.replace('#', '-') if place else ''}")
        assert page.evaluate(NAMELESS) == []
        page.keyboard.press("Escape")
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")


def test_the_theme_button_overrules_the_system_and_is_remembered(open_page):
    page = open_page(color_scheme="dark")
    background = "() => getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.locator("#theme").click()
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == light


def test_the_page_works_where_storage_is_blocked(open_page, serve):
    page = open_page(serve(FakeEngine(), token="open-sesame"), ready=False, expected=("401",))
    page.add_init_script(
        """
        const get = () => { throw new DOMException("denied", "SecurityError"); };
        for (const name of ["localStorage", "sessionStorage", "indexedDB"]) {
          Object.defineProperty(window, name, { get });
        }
        """
    )
    page.reload()
    page.locator("#token").fill("open-sesame")
    page.get_by_role("button", name="Continue").click()
    settled(page)
    page.locator("#theme").click()
    page.locator("#help").click()
    page.locator("#single-keys").uncheck()
    assert run(page, "return state.singleKeys") is False


def test_nothing_is_cut_off_on_narrow_screens(page):
    for width in (320, 600, 900, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for name in ("#undo", "#new", "#save", "#help", "[data-view=wipe]", "#brush", "#reroll"):
            box = page.locator(name).first.bounding_box()
            assert box["x"] >= 0, name
            assert box["x"] + box["width"] <= width, name
        assert page.locator("#layout-canvas").bounding_box()["height"] > 60


def test_ids_are_unique_and_the_page_has_a_language(page):
    doubles = """() => {
      const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
      return ids.filter((id, i) => ids.indexOf(id) !== i);
    }"""
    assert page.evaluate(doubles) == []
    assert page.evaluate("document.documentElement.lang") == "en"
    assert run(page, "return document.querySelectorAll('h1').length") == 1
