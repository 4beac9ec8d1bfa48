"""The page's arithmetic, called in the browser: shapes, history, blending, files; numbers by hand."""

import struct
import zlib

import numpy as np
import pytest

pytestmark = pytest.mark.browser

CELLS = """
  const cells = [];
  const span = (from, to, y) => { for (let x = from; x < to; x++) cells.push(`${x},${y}`); };
"""


def evaluate(page, module, body, argument=None):
    return page.evaluate(
        f'async (argument) => {{ const module = await import("/static/js/{module}"); {body} }}', argument
    )


@pytest.fixture(scope="module")
def page(chromium, studio):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{studio}/static/icon.svg")  # the modules alone, without the page that uses them
    yield page
    context.close()


def cells(page, call):
    return {
        tuple(map(int, text.split(",")))
        for text in evaluate(page, "raster.js", f"{CELLS} module.{call}; return cells;")
    }


def test_discs(page):
    assert cells(page, "disc(5.3, 7.9, 1, span)") == {(5, 7)}
    assert cells(page, "disc(5.3, 6.8, 2, span)") == {(4, 6), (5, 6), (4, 7), (5, 7)}
    # Diameter 3: the corner centres lie √2 = 1.41 from the middle, inside 1.5.
    assert cells(page, "disc(5.5, 5.5, 3, span)") == {(x, y) for x in (4, 5, 6) for y in (4, 5, 6)}
    # Diameter 4: corner centres lie √(1.5² + 1.5²) = 2.12 away, outside 2.
    square = {(x, y) for x in range(4) for y in range(4)}
    assert cells(page, "disc(2, 2, 4, span)") == square - {(0, 0), (3, 0), (0, 3), (3, 3)}


def test_lines_and_rectangles(page):
    assert cells(page, "line(0.5, 0.5, 3.5, 3.5, 1, span)") == {(i, i) for i in range(4)}
    assert cells(page, "rectangle(4.9, 2.1, 3.2, 1.9, span)") == {(3, 1), (4, 1), (3, 2), (4, 2)}


def test_polygons(page):
    # A triangle with legs of 6: cells whose centre lies inside, and those under the outline.
    found = cells(page, "polygon([[0.5, 0.5], [6.5, 0.5], [0.5, 6.5]], span)")
    assert found == {(x, y) for x in range(7) for y in range(7) if x + y <= 6}
    # Two corners make a line.
    assert cells(page, "polygon([[0.5, 0.5], [3.5, 0.5]], span)") == {(x, 0) for x in range(4)}


def test_flood_stops_at_diagonals_and_other_instances(page):
    body = f"""
      {CELLS}
      const {{ Layout }} = await import("/static/js/layout.js");
      const ids = Uint16Array.from([0,0,1,0, 0,1,0,0, 1,0,0,0]);
      const instances = Uint16Array.from([0,0,0,0, 0,0,0,0, 0,0,0,9]);
      module.flood(new Layout(4, 3, ids, instances), ...argument, span);
      return cells;
    """
    assert sorted(evaluate(page, "raster.js", body, [0, 0])) == ["0,0", "0,1", "1,0"]
    assert sorted(evaluate(page, "raster.js", body, [1, 2])) == ["1,2", "2,1", "2,2", "3,0", "3,1"]


def test_history_is_fifty_deep_and_keeps_sizes(page):
    body = """
      const { Layout } = await import("/static/js/layout.js");
      const history = new module.History();
      let layout = Layout.blank(8, 8, 0);
      for (let i = 1; i <= 60; i++) {
        const next = layout.copy();
        next.ids[i] = i;
        history.record(layout, next);
        layout = next;
      }
      const same = history.record(layout, layout.copy());
      const wider = Layout.blank(16, 8, 3);
      history.record(layout, wider);
      layout = history.undo(wider);
      const size = [layout.width, layout.height];
      let steps = 0;
      for (let before; (before = history.undo(layout)); steps++) layout = before;
      return { same, size, steps, ids: [...layout.ids], width: history.redo(layout).width };
    """
    result = evaluate(page, "history.js", body)
    assert result["same"] is False
    assert result["size"] == [8, 8]
    assert result["steps"] == 49  # 50 with the change of size
    assert result["ids"] == [*range(12), *[0] * 52]  # 60 − 49 changes remain
    assert result["width"] == 8


def test_resizing_takes_the_nearest_cell(page):
    body = """
      const layout = new module.Layout(4, 2, Uint16Array.from([1, 2, 3, 4, 5, 6, 7, 300]));
      const flat = (other) => [...other.ids];
      return [flat(layout.resized(8, 2)), flat(layout.resized(2, 1))];
    """
    wider, smaller = evaluate(page, "layout.js", body)
    assert wider == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 300, 300]
    # Pixel centres at 1 and 3 of 4 across, 1 of 2 down.
    assert smaller == [6, 300]


def test_blending_keeps_the_length(page):
    def at(a, b, t):
        return evaluate(page, "blend.js", "return module.blend(...argument);", [a, b, t])

    half = np.sqrt(0.5)
    assert at([1, 0], [0, 1], 0.5) == pytest.approx([half, half])
    assert at([2, 0], [0, 2], 1 / 3) == pytest.approx([2 * np.cos(np.pi / 6), 2 * np.sin(np.pi / 6)])
    assert at([1, 2], [3, 5], 0) == pytest.approx([1, 2])
    assert at([1, 2], [3, 5], 1) == pytest.approx([3, 5])
    assert at([1, 1], [2, 2], 0.5) == pytest.approx([1.5, 1.5])
    assert at([0, 0], [2, 2], 0.5) == pytest.approx([1, 1])


def test_png_files_have_sound_chunks(page):
    body = """
      const { Layout } = await import("/static/js/layout.js");
      const layout = new Layout(3, 2, Uint16Array.from(argument));
      const blob = await module.layoutPng(layout, [[1, 2, 3], [4, 5, 6]]);
      return [...new Uint8Array(await blob.arrayBuffer())];
    """
    for ids, depth, kind, rows in (
        ([0, 1, 2, 3, 4, 255], 8, 3, b"\0\0\1\2\0\3\4\xff"),
        ([0, 1, 2, 3, 4, 256], 16, 0, b"\0\0\0\0\1\0\2\0\0\3\0\4\1\0"),
    ):
        data = bytes(evaluate(page, "png.js", body, ids))
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        chunks, at = {}, 8
        while at < len(data):
            (length,) = struct.unpack_from(">I", data, at)
            name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
            assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(name + content)
            chunks[name] = content
            at += 12 + length
        assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (3, 2, depth, kind, 0, 0, 0)
        assert zlib.decompress(chunks[b"IDAT"]) == rows
        if kind == 3:
            assert chunks[b"PLTE"][:6] == bytes([1, 2, 3, 4, 5, 6])
