"""Seeing in a real browser: live photos, views, styles, blending, variations."""

import io
import json
import zipfile

import numpy as np
import pytest
from fake_engine import SPACE, FakeEngine
from pages import blank, choose, click, ids, photo_pixel, run, settled
from PIL import Image
from test_studio_painting import shifted

pytestmark = pytest.mark.browser
FACADE = SPACE.colors[0]


def style_of(seed):
    return FakeEngine().random_styles(1, seed)[0]


def thumb(page, i):
    return page.locator("#strip .thumb").nth(i)


def test_the_strip_shows_seeds_and_changes_the_photo(page, picture):
    assert photo_pixel(page, 5, 5) == shifted(FACADE, style_of(0))
    thumb(page, 3).click()
    assert photo_pixel(page, 5, 5) == shifted(FACADE, style_of(3))
    page.wait_for_function("() => document.querySelectorAll('#strip [data-empty=true]').length === 0")
    colors = page.evaluate(
        """() => [...document.querySelectorAll("#strip img")].map((image) => {
          const context = new OffscreenCanvas(1, 1).getContext("2d");
          context.drawImage(image, 0, 0);
          return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
        })"""
    )
    assert colors == [shifted(FACADE, style_of(seed)) for seed in range(8)]
    picture(page, "styles")


def test_new_styles_spare_the_locked_and_the_one_in_use(page):
    page.get_by_role("button", name="Lock Seed 5").click()
    thumb(page, 2).click()
    page.keyboard.press("s")
    page.wait_for_function("() => document.querySelectorAll('#strip .thumb')[0].title !== 'Seed 0'")
    titles = [thumb(page, i).get_attribute("title") for i in range(8)]
    assert (titles[2], titles[5]) == ("Seed 2", "Seed 5")
    assert not {"Seed 0", "Seed 1", "Seed 3", "Seed 4", "Seed 6", "Seed 7"} & set(titles)


def test_a_slider_blends_two_styles(page):
    assert page.locator("#blend").is_disabled()
    page.locator("#slot-b").click()
    thumb(page, 1).click()
    assert page.locator("#blend").input_value() == "50"
    a, b = style_of(0).astype(np.float64), style_of(1).astype(np.float64)
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    middle = (a + b) * np.sin(angle / 2) / np.sin(angle)  # half way along the arc
    assert photo_pixel(page, 5, 5) == pytest.approx(shifted(FACADE, middle), abs=1)
    page.locator("#blend").fill("100")
    assert photo_pixel(page, 5, 5) == shifted(FACADE, style_of(1))
    page.locator("#blend").fill("50")
    page.locator("#keep-blend").click()
    assert thumb(page, 0).get_attribute("title") == "Seed 0 + Seed 1, 50 %"
    assert photo_pixel(page, 5, 5) == pytest.approx(shifted(FACADE, middle), abs=1)
    assert page.locator("#blend").is_disabled()


def test_the_style_of_a_photo(page):
    white = io.BytesIO()
    Image.new("RGB", (30, 20), "white").save(white, "JPEG")
    file = {"name": "holiday.jpg", "mimeType": "image/jpeg", "buffer": white.getvalue()}
    page.locator("#reference-file").set_input_files(file)
    page.wait_for_selector("#strip [title='Photo holiday']")
    assert photo_pixel(page, 5, 5) == [200, 140, 110]  # the fake engine reads white as + 20
    assert page.get_by_role("button", name="Lock Photo holiday").get_attribute("aria-pressed") == "true"


def test_a_model_without_styles_has_no_dock(open_page, serve):
    page = open_page(serve(FakeEngine(style_dim=0, encodes_style=False)))
    blank(page)
    assert page.locator("#style-dock").is_hidden()
    assert photo_pixel(page, 5, 5) == list(FACADE)


def test_views(page, picture):
    page.get_by_role("button", name="Overlay").click()
    assert page.locator("#photo-pane").is_hidden()
    assert page.locator("#opacity").input_value() == "50"
    settled(page)
    pixel = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
      const canvas = document.getElementById("layout-canvas");
      const point = (share) => [...canvas.getContext("2d").getImageData(
        Math.round(canvas.width * share), Math.round(canvas.height * 0.5), 1, 1).data.slice(0, 3)];
      done([point(0.4), point(0.6)]);
    })))"""
    photo = np.array(shifted(FACADE, style_of(0)))
    half = ((photo + FACADE) / 2).tolist()
    assert page.evaluate(pixel) == [pytest.approx(half, abs=1.5)] * 2
    picture(page, "overlay")
    page.keyboard.press("v")
    left, right = page.evaluate(pixel)
    assert left == list(FACADE)
    assert right == photo.tolist()
    page.get_by_role("slider", name="Share of the layout").press("End")
    assert page.evaluate(pixel) == [list(FACADE)] * 2
    handle = page.locator("#wipe-handle").bounding_box()
    box = page.locator("#layout-canvas").bounding_box()
    page.mouse.move(handle["x"] + handle["width"] / 2 - 1, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 200, steps=3)
    page.mouse.up()
    assert page.evaluate(pixel) == [photo.tolist()] * 2
    picture(page, "wipe")
    page.keyboard.press("v")
    assert page.locator("#photo-pane").is_visible()


def test_variations_and_their_zip(page, picture):
    page.get_by_role("button", name="Variations").click()
    page.wait_for_selector("#variations-grid button")
    assert page.locator("#variations-grid button").count() == 8
    page.locator("#variations-count").select_option("16")
    page.wait_for_function("() => document.querySelectorAll('#variations-grid button').length === 16")
    picture(page, "variations")
    with page.expect_download() as download:
        page.locator("#variations-zip").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert len(archive.namelist()) == 17
        about = json.loads(archive.read("about.json"))
        with archive.open("photo-04.png") as file, Image.open(file) as fourth:
            assert list(fourth.getpixel((5, 5))) == shifted(FACADE, about["styles"][3])
    page.locator("#variations-grid button").nth(3).click()
    assert photo_pixel(page, 5, 5) == shifted(FACADE, about["styles"][3])
    assert page.locator("#variations-dialog").is_hidden()


def test_variations_of_a_large_layout_are_as_many_as_the_server_draws(open_page, serve):
    page = open_page(serve(FakeEngine()))
    blank(page, 1024, 768)
    settled(page)
    page.locator("#variations").click()
    page.wait_for_selector("#variations-grid button")
    assert page.locator("#variations-grid button").count() == 5  # of 4 Mi cells together
    assert page.locator("#variations-zip").is_visible()


def with_all_thumbnails(page):
    settled(page)
    page.wait_for_function("() => document.querySelectorAll('#strip [data-empty=true]').length === 0")
    return page


def test_variations_that_nobody_waits_for_are_not_computed(open_page, serve):
    page, held = with_all_thumbnails(open_page(serve(FakeEngine()))), []
    page.route("**/v1/generate", lambda route: held.append(route) if len(held) < 2 else route.continue_())
    with page.expect_request("**/v1/generate"):
        page.locator("#variations").click()
    with page.expect_event("requestfailed"), page.expect_request("**/v1/generate"):
        page.locator("#variations-again").click()
    assert page.locator("#variations-grid").get_attribute("aria-busy") == "true"  # with the second round
    with page.expect_event("requestfailed"):
        page.locator("#variations-close").click()
    page.locator("#variations").click()
    page.wait_for_selector("#variations-grid button")
    assert page.locator("#variations-grid").get_attribute("aria-busy") == "false"
    assert (len(held), page.locator(".toast").count()) == (2, 0)


def test_a_photo_of_the_last_model_does_not_come_with_the_next(open_page, serve):
    page = with_all_thumbnails(open_page(serve(FakeEngine("first"), FakeEngine("second"))))
    photos, styles = [], []
    page.route("**/v1/generate", lambda route: photos.append(route) if not photos else route.continue_())
    page.route("**/second/styles?seed=3", lambda route: styles.append(route))
    with page.expect_request("**/v1/generate"):
        thumb(page, 1).click()
    page.wait_for_timeout(500)
    assert page.locator("#spinner").is_visible()
    with page.expect_request("**/second/styles?seed=3"):
        page.locator("#model").select_option("second")
    page.wait_for_selector("#spinner", state="hidden")  # there is no layout, so nothing is computed
    photos[0].continue_()
    page.wait_for_timeout(300)
    assert run(page, "return state.photo") is None
    styles[0].continue_()
    settled(page)
    blank(page)
    assert photo_pixel(page, 5, 5) == shifted(FACADE, style_of(0))


def test_a_stale_answer_is_dropped(page):
    settled(page)
    held = []
    page.route("**/v1/generate", lambda route: held.append(route) if not held else route.continue_())
    page.locator("#strip .thumb").nth(1).click()
    page.wait_for_timeout(200)
    thumb(page, 2).click()
    assert photo_pixel(page, 5, 5) == shifted(FACADE, style_of(2))
    assert len(held) == 1
    late = Image.new("RGB", (64, 64), "lime")
    buffer = io.BytesIO()
    late.save(buffer, "PNG")
    held[0].fulfill(status=200, content_type="image/png", body=buffer.getvalue())
    page.wait_for_timeout(150)
    assert photo_pixel(page, 5, 5) == shifted(FACADE, style_of(2))


def test_strokes_are_debounced_and_the_last_one_is_shown(open_page, serve):
    engine = FakeEngine(seconds=0.1)
    page = open_page(serve(engine))
    blank(page)
    settled(page)
    page.wait_for_function("() => document.querySelectorAll('#strip [data-empty=true]').length === 0")
    before = engine.calls
    choose(page, "brush", "window", 1)
    for x in range(30):
        click(page, x, 3)
    assert photo_pixel(page, 29, 3) == shifted(SPACE.colors[1], style_of(0))
    assert ids(page)[3][:30] == [1] * 30
    assert engine.calls - before < 30


def test_a_spinner_shows_only_when_it_takes_longer(open_page, serve):
    engine = FakeEngine()
    page = open_page(serve(engine))
    page.evaluate(
        """() => {
          window.spins = 0;
          const observer = new MutationObserver(() => window.spins++);
          observer.observe(document.getElementById("spinner"), { attributes: true });
        }"""
    )
    for i in (1, 3, 4, 5, 6, 7):  # a busy machine may answer late
        page.evaluate("() => (window.spins = 0)")
        thumb(page, i).click()
        settled(page)
        if run(page, "return state.photo.milliseconds") < 200:
            break
    assert page.evaluate("window.spins") == 0
    engine.seconds = 1.5
    thumb(page, 2).click()
    page.wait_for_selector("#spinner", state="visible")
    engine.seconds = 0
    page.wait_for_selector("#spinner", state="hidden")


@pytest.mark.browser(expected=("429",))
def test_a_busy_server_is_asked_again(page):
    settled(page)
    refused = []

    def once(route):
        if refused:
            return route.continue_()
        refused.append(route)
        body = json.dumps({"code": "busy", "message": "x"})
        return route.fulfill(
            status=429, headers={"Retry-After": "1"}, body=body, content_type="application/json"
        )

    page.route("**/v1/generate", once)
    thumb(page, 4).click()
    assert photo_pixel(page, 5, 5) == shifted(FACADE, style_of(4))
    assert len(refused) == 1
