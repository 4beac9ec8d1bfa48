"""What tests do with an open page: find cells, read the layout and the photo."""

STATE = 'const { state } = await import("/static/js/state.js");'


def settled(page):
    """Waits until the page is ready and its photo shows the layout and style at hand."""
    page.wait_for_selector("body[data-ready=true]", state="attached")
    page.wait_for_selector("#photo-pane[aria-busy=false]", state="attached")


def run(page, body, argument=None):
    """The value of an async function body, which sees the page's `state` and `argument`."""
    return page.evaluate(f"async (argument) => {{ {STATE} {body} }}", argument)


def start_again(page):
    """A page that was used before: a blank layout of 64 × 64, the first styles, nothing chosen or open."""
    run(
        page,
        """
        const { set } = await import("/static/js/state.js");
        const { abandon } = await import("/static/js/tools.js");
        const { firstStyles } = await import("/static/js/styles.js");
        abandon();
        for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
        document.getElementById("toasts").replaceChildren();
        document.getElementById("slot-a").click();
        document.activeElement.blur();
        set({ tool: "brush", classId: 0, baseId: 0, brush: 8, view: "side", wipe: 0.5, singleKeys: true });
        set({ opacity: 1, cursor: null });
        await firstStyles();
        """,
    )
    blank(page)
    page.keyboard.press("f")
    settled(page)


def blank(page, width=64, height=64, class_id=0):
    """Puts an empty layout without a past onto the canvas."""
    run(
        page,
        """
        const { reset } = await import("/static/js/editing.js");
        const { Layout } = await import("/static/js/layout.js");
        reset(Layout.blank(argument.width, argument.height, argument.id));
        """,
        {"width": width, "height": height, "id": class_id},
    )


def ids(page):
    """The layout as a list of rows."""
    flat, width = run(page, "return [[...state.layout.ids], state.layout.width]")
    return [flat[i : i + width] for i in range(0, len(flat), width)]


def cell(page, x, y, canvas="#layout-canvas"):
    """The point on the screen of the middle of a cell."""
    view = page.evaluate('async () => (await import("/static/js/view.js")).view')
    box = page.locator(canvas).bounding_box()
    return (
        box["x"] + view["x"] + (x + 0.5) * view["scale"],
        box["y"] + view["y"] + (y + 0.5) * view["scale"],
    )


def drag(page, start, end, canvas="#layout-canvas", steps=5):
    page.mouse.move(*cell(page, *start, canvas))
    page.mouse.down()
    page.mouse.move(*cell(page, *end, canvas), steps=steps)
    page.mouse.up()


def click(page, x, y):
    page.mouse.click(*cell(page, x, y))


def choose(page, tool=None, name=None, brush=None):
    """Tool by its button, class by its name, brush by its slider."""
    if tool:
        page.locator(f"[data-tool={tool}]").first.click()
    if name:
        page.get_by_role("radio", name=name, exact=True).click()
    if brush:
        page.locator("#brush").fill(str(brush))


def photo_pixel(page, x, y):
    """[r, g, b] of the photo shown, once it is up to date."""
    settled(page)
    return run(
        page,
        """
        const { width, height } = state.photo.bitmap;
        const context = new OffscreenCanvas(width, height).getContext("2d");
        context.drawImage(state.photo.bitmap, 0, 0);
        return [...context.getImageData(...argument, 1, 1).data.slice(0, 3)];
        """,
        [x, y],
    )
