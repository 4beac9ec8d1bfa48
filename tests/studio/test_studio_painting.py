"""Painting in a real browser: every tool, undo and redo, the keyboard alone, fingers on a phone."""

import pytest
from fake_engine import SPACE, FakeEngine
from pages import blank, cell, choose, click, drag, ids, photo_pixel, run, settled

pytestmark = pytest.mark.browser
FACADE, WINDOW, BALCONY, VEGETATION, SKY = 0, 1, 2, 3, 10


def shifted(color, style):
    """What the fake engine makes of a class colour."""
    return [int(min(255, max(0, part + 20 * shift))) for part, shift in zip(color, style[:3], strict=True)]


def count(rows, class_id):
    return sum(row.count(class_id) for row in rows)


def test_a_stroke_changes_the_layout_and_the_photo(open_page, picture):
    page = open_page()
    picture(page, "first-sight")
    blank(page)
    choose(page, "brush", "window", 4)
    drag(page, (10, 20), (40, 20))
    rows = ids(page)
    # A disc of four cells: at the middle of cell (x, 20) its centre is the corner (x + 1, 21) or (x, 20).
    assert rows[20][9:42].count(WINDOW) >= 31
    assert all(set(row) == {FACADE} for row in [*rows[:18], *rows[23:]])
    assert 4 * 30 <= count(rows, WINDOW) <= 4 * 36
    style = FakeEngine().random_styles(1, 0)[0]
    assert photo_pixel(page, 25, 20) == shifted(SPACE.colors[WINDOW], style)
    assert photo_pixel(page, 25, 40) == shifted(SPACE.colors[FACADE], style)


def test_painting_on_the_photo_works_too(page):
    choose(page, name="sky", brush=1)
    drag(page, (5, 5), (25, 5), "#photo-canvas")
    assert ids(page)[5][4:27] == [FACADE] + [SKY] * 21 + [FACADE]


def test_no_other_class_appears_whatever_is_drawn(page):
    for tool, name in (("brush", "window"), ("line", "balcony"), ("rectangle", "sky")):
        choose(page, tool, name, 7)
        drag(page, (6, 9), (51, 47))
    assert {value for row in ids(page) for value in row} <= {FACADE, WINDOW, BALCONY, SKY}


def test_fill_line_rectangle_polygon_eraser_and_eyedropper(page):
    choose(page, "rectangle", "window")
    drag(page, (10, 10), (19, 29))
    rows = ids(page)
    assert count(rows, WINDOW) == 10 * 20
    assert [rows[10][9], rows[10][10], rows[29][19], rows[30][19]] == [FACADE, WINDOW, WINDOW, FACADE]

    choose(page, "fill", "sky")
    click(page, 0, 0)
    rows = ids(page)
    assert (count(rows, SKY), count(rows, WINDOW)) == (64 * 64 - 200, 200)

    choose(page, "line", "balcony", 1)
    drag(page, (40, 40), (49, 40))
    assert ids(page)[40][39:51] == [SKY] + [BALCONY] * 10 + [SKY]

    choose(page, "polygon", "vegetation")
    for corner in ((30, 50), (40, 50), (40, 60), (30, 60)):
        click(page, *corner)
    page.keyboard.press("Enter")
    assert count(ids(page), VEGETATION) == 11 * 11

    page.mouse.click(*cell(page, 12, 12), button="right")
    assert run(page, "return state.classId") == WINDOW
    choose(page, "pick")
    click(page, 45, 40)
    assert run(page, "return state.classId") == BALCONY

    page.get_by_role("button", name="use selected").click()
    choose(page, "eraser", brush=3)
    click(page, 15, 15)
    assert [ids(page)[15][x] for x in range(13, 18)] == [WINDOW, BALCONY, BALCONY, BALCONY, WINDOW]


def test_undo_and_redo_fifty_deep(page):
    choose(page, "rectangle", "window")
    (x0, y0), (x1, y1) = cell(page, 0, 0), cell(page, 1, 1)
    for i in range(53):
        page.mouse.click(x0 + i * (x1 - x0), y0 + i * (y1 - y0))
    for _ in range(52):
        page.keyboard.press("Control+z")
    assert [y for y, row in enumerate(ids(page)) if WINDOW in row] == [0, 1, 2]
    assert page.locator("#undo").is_disabled()
    page.locator("#redo").click()
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+y")
    assert [y for y, row in enumerate(ids(page)) if WINDOW in row] == [0, 1, 2, 3, 4, 5]
    click(page, 60, 10)
    assert page.locator("#redo").is_disabled()


def test_escape_gives_a_polygon_up(page):
    choose(page, "polygon", "window")
    for corner in ((10, 10), (20, 10), (20, 20)):
        click(page, *corner)
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    assert count(ids(page), WINDOW) == 0


def test_escape_gives_a_drag_over_the_photo_up(page):
    choose(page, "rectangle", "window")
    page.mouse.move(*cell(page, 10, 10, "#photo-canvas"))
    page.mouse.down()
    page.mouse.move(*cell(page, 20, 20, "#photo-canvas"), steps=3)
    assert count(ids(page), WINDOW) > 0
    page.keyboard.press("Escape")
    page.mouse.move(*cell(page, 30, 30, "#photo-canvas"), steps=3)
    page.mouse.up()
    assert count(ids(page), WINDOW) == 0


@pytest.mark.parametrize("key", ["Escape", "e", "r"])
@pytest.mark.parametrize("tool", ["brush", "rectangle"])
def test_a_drag_given_up_paints_no_more(page, tool, key):
    if (tool, key) == ("rectangle", "r"):
        key = "l"
    choose(page, tool, "window", 3)
    page.mouse.move(*cell(page, 10, 10))
    page.mouse.down()
    page.mouse.move(*cell(page, 20, 20), steps=3)
    page.keyboard.press(key)
    page.mouse.move(*cell(page, 40, 30), steps=3)
    assert count(ids(page), FACADE) == 64 * 64
    page.mouse.up()
    assert count(ids(page), FACADE) == 64 * 64
    assert page.locator("#undo").is_disabled()


def test_a_mouse_takes_over_from_the_keyboard_in_steps_of_their_own(page):
    choose(page, "brush", "window", 1)
    page.locator("#layout-canvas").focus()
    page.keyboard.press("Enter")  # the brush is down at (32, 32)
    page.keyboard.press("ArrowRight")
    drag(page, (5, 5), (8, 5))
    page.keyboard.press("ArrowRight")  # and up since the mouse came
    assert count(ids(page), WINDOW) == 2 + 4
    page.keyboard.press("Control+z")
    assert count(ids(page), WINDOW) == 2
    page.keyboard.press("Control+z")
    assert count(ids(page), WINDOW) == 0


def test_zoom_and_pan_keep_the_cell_under_the_pointer(page):
    fitted = point = cell(page, 50, 12)
    page.mouse.move(*point)
    page.mouse.wheel(0, -600)
    assert cell(page, 50, 12) == pytest.approx(point, abs=2)  # the wheel knows whole pixels only
    point = cell(page, 50, 12)
    choose(page, "hand")
    x, y = point
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y + 40, steps=3)
    page.mouse.up()
    assert cell(page, 50, 12) == pytest.approx((x - 60, y + 40), abs=1)
    choose(page, "brush", "window", 1)
    click(page, 50, 12)
    assert ids(page)[12][50] == WINDOW
    page.keyboard.press("f")
    assert cell(page, 50, 12) == pytest.approx(fitted, abs=1)


def test_number_keys_search_and_brush_keys(page):
    page.keyboard.press("3")
    assert run(page, "return state.classId") == BALCONY
    page.keyboard.press("0")
    assert run(page, "return state.classId") == 9
    page.keyboard.press("/")
    page.keyboard.type("VEG")
    assert page.locator("#classes [role=radio]:visible").all_inner_texts() == ["vegetation\n4"]
    page.keyboard.press("Enter")
    assert run(page, "return state.classId") == VEGETATION
    page.locator("#search").fill("zebra")
    assert page.get_by_text("No class of that name.").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#classes [role=radio]:visible").count() == 12
    before = run(page, "return state.brush")
    page.keyboard.press("]")
    assert run(page, "return state.brush") == before + 2
    page.locator("#help").click()
    page.locator("#single-keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    assert run(page, "return state.classId") == VEGETATION


def test_undo_in_a_text_field_is_the_fields_own(page):
    choose(page, "rectangle", "window")
    drag(page, (5, 6), (20, 30))
    before = ids(page)
    page.locator("#search").press_sequentially("tree")
    page.keyboard.press("Control+z")
    assert page.locator("#search").input_value() != "tree"
    assert ids(page) == before
    page.keyboard.press("Control+y")
    assert ids(page) == before
    page.keyboard.press("Escape")  # back to the canvas
    page.keyboard.press("Control+z")
    assert count(ids(page), WINDOW) == 0
    page.keyboard.press("Control+y")
    assert ids(page) == before


def test_with_the_keyboard_alone(open_page, picture):
    page = open_page()
    blank(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the skip link
    assert page.evaluate("document.activeElement.id") == "layout-canvas"
    page.keyboard.press("2")
    while run(page, "return state.brush") > 1:
        page.keyboard.press("[")
    page.keyboard.down("Space")  # from the middle, (32, 32)
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.up("Space")
    assert ids(page)[32][31:39] == [FACADE] + [WINDOW] * 6 + [FACADE]
    assert "37, 32" in page.locator("#position").inner_text()
    page.keyboard.press("Shift+ArrowDown")
    assert "37, 40: facade" in page.locator("#announce").inner_text()
    page.keyboard.press("r")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert [ids(page)[y][36:38] for y in (39, 40)] == [[WINDOW] * 2] * 2
    page.keyboard.press("g")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("4")
    page.keyboard.press("Space")
    assert count(ids(page), VEGETATION) == 64 * 64 - 6 - 4
    picture(page, "keyboard")
    page.keyboard.press("Control+z")
    assert count(ids(page), VEGETATION) == 0
    # Everything else can be reached: Tab goes through all controls and comes back.
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {
        "new",
        "open",
        "save",
        "help",
        "brush",
        "opacity",
        "reroll",
        "slot-b",
        "thumb",
        "class",
    } <= reached


def test_a_phone_with_fingers(open_page, picture):
    page = open_page(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=2
    )
    picture(page, "phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in page.locator("header button, #tools button, .dock-head button").all():
        if button.is_visible():
            box = button.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
    blank(page)
    page.get_by_role("radio", name="window").tap()
    page.touchscreen.tap(*cell(page, 30, 30))
    assert ids(page)[30][30] == WINDOW
    painted = count(ids(page), WINDOW)
    # Two fingers zoom and leave no paint.
    touch = fingers(page)
    before = run(page, 'return (await import("/static/js/view.js")).view.scale')
    (x0, y0), (x1, y1) = cell(page, 10, 10), cell(page, 50, 50)

    touch("touchStart", (x0, y0))
    touch("touchStart", (x0, y0), (x1, y1))
    for i in range(1, 6):
        touch("touchMove", (x0 - 2 * i, y0 - 2 * i), (x1 + 2 * i, y1 + 2 * i))
    touch("touchEnd")
    assert run(page, 'return (await import("/static/js/view.js")).view.scale') > 1.05 * before
    assert count(ids(page), WINDOW) == painted
    page.get_by_role("button", name="Wipe").tap()
    settled(page)
    picture(page, "phone-wipe")


def fingers(page):
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        touches = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    return touch


def test_a_pinch_leaves_fill_polygon_and_eyedropper_alone(open_page):
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    blank(page, class_id=SKY)
    touch = fingers(page)

    def pinch():
        one, other = cell(page, 10, 10), cell(page, 50, 50)
        touch("touchStart", one)
        touch("touchStart", one, other)
        touch("touchMove", (one[0] + 3, one[1]), other)
        touch("touchEnd")

    def tap(x, y):
        page.touchscreen.tap(*cell(page, x, y))

    run(page, '(await import("/static/js/state.js")).set({ tool: "fill", classId: 1 });')
    pinch()
    assert count(ids(page), SKY) == 64 * 64
    run(page, '(await import("/static/js/state.js")).set({ tool: "pick" });')
    pinch()
    assert run(page, "return state.classId") == WINDOW
    run(page, '(await import("/static/js/state.js")).set({ tool: "polygon" });')
    outline = 'return (await import("/static/js/tools.js")).outline.length'
    tap(20, 20)
    tap(40, 20)
    assert run(page, outline) == 2
    pinch()
    assert run(page, outline) == 2  # nothing was thrown away, nothing added
    tap(40, 40)
    tap(20, 20)  # on the first corner: closes
    assert run(page, outline) == 0
    assert count(ids(page), WINDOW) > 100
    run(page, '(await import("/static/js/state.js")).set({ tool: "fill", classId: 3 });')
    tap(5, 50)
    assert count(ids(page), SKY) == 0
    run(page, '(await import("/static/js/state.js")).set({ tool: "pick" });')
    tap(38, 25)
    assert run(page, "return state.classId") == WINDOW


def test_instance_brush_where_the_model_uses_instances(open_page, serve, picture):
    page = open_page(serve(FakeEngine(uses_instances=True)))
    blank(page)
    choose(page, "instance", "window", 5)
    for start in ((10, 10), (30, 10), (11, 11)):  # the third goes on with the first
        drag(page, start, (start[0] + 3, start[1]))
    picture(page, "instances")
    instances = run(page, "return [...state.layout.instances]")
    at = {point: instances[point[1] * 64 + point[0]] for point in ((12, 10), (32, 10), (14, 11), (50, 50))}
    assert list(at.values()) == [1, 2, 1, 0]
    # The fake engine adds 5 per instance id, so the photo shows that they were sent.
    one, two = photo_pixel(page, 12, 10), photo_pixel(page, 32, 10)
    assert [b - a for a, b in zip(one, two, strict=True)] == [5, 5, 5]
    choose(page, "brush")
    click(page, 12, 10)
    assert run(page, "return state.layout.instances[10 * 64 + 12]") == 0


def test_the_instance_brush_is_hidden_otherwise(page):
    assert page.locator("[data-tool=instance]").is_hidden()
    page.keyboard.press("n")
    assert run(page, "return state.tool") == "brush"
    page.keyboard.press("l")
    assert run(page, "return state.tool") == "line"
