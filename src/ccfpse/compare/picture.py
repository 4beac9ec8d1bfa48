"""The picture of a comparison: rows are layouts, columns the layout, the photo and what each system draws."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ccfpse import evaluation
from ccfpse.compare.plan import Comparison
from ccfpse.pictures import GAP, grid
from ccfpse.training.unaveraged import load_images

ROWS = 8  # the first layouts by file name
NARROWEST = 112  # pixels of a column; smaller pictures are enlarged by whole numbers
FONT_SIZE, LINE = 13, 16  # pixels


def draw_grid(plan: Comparison) -> Image.Image:
    """The models of the first seed, on the first layouts of the evaluated split, all in one style's seed."""
    chosen = plan.evaluation
    protocol = chosen.of_size(plan.systems[0].config)
    pairs, space = evaluation.open_pairs(plan.data, chosen.split, protocol.size, protocol.resize)
    order = sorted(range(len(pairs)), key=lambda index: pairs.stems[index])[:ROWS]
    shown = [pairs.sample(index) for index in order]
    columns = [[space.colorize(pair.labels) for pair in shown], [pair.photo for pair in shown]]
    for system in plan.systems:
        folder = plan.folder(system, plan.seeds[0])
        images = load_images(folder, not chosen.averaged, chosen.device)
        own = images.protocol(chosen.protocol, **chosen.choices(bool(images.engine.style_dim)))
        draw = images.generate(pairs, space, own)
        columns.append([draw(pair, 1, protocol.seed)[0] for pair in shown])
    names = ["layout", "photo", *(system.name for system in plan.systems)]
    return titled(names, list(zip(*columns, strict=True)))


def titled(names: Sequence[str], rows: Sequence[Sequence[np.ndarray]]) -> Image.Image:
    """A grid of H×W×3 uint8 pictures of one size, with a name above each column."""
    width = rows[0][0].shape[1]
    factor = -(-NARROWEST // width)
    picture = grid([[cell.repeat(factor, 0).repeat(factor, 1) for cell in row] for row in rows])
    font = ImageFont.load_default(FONT_SIZE)
    headings = [_wrapped(name, font, width * factor) for name in names]
    top = LINE * max(len(lines) for lines in headings) + GAP
    canvas = Image.new("RGB", (picture.width, top + picture.height), "white")
    canvas.paste(picture, (0, top))
    draw = ImageDraw.Draw(canvas)
    for column, lines in enumerate(headings):
        for line, text in enumerate(lines):
            y = top - GAP - LINE * (len(lines) - line)
            draw.text((column * (width * factor + GAP), y), text, fill="black", font=font)
    return canvas


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Lines of whole words no wider than `width` pixels, where words are no wider."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
