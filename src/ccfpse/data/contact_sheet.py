"""A data set at a glance: photos beside their coloured label maps, and the classes with their shares."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ccfpse.labels import Color, LabelSpace

BACKGROUND: Color = (250, 249, 246)
INK: Color = (34, 34, 38)
FAINT: Color = (134, 134, 140)
HAIRLINE: Color = (214, 212, 206)

COLUMNS = 3
LEGEND_COLUMNS = 4
BOX = 252  # pixels of the square that a photo or a label map is fitted into
GAP = 28
ROW = 26  # height of a legend line
WIDE_FONTS = ("NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")


class Thumbnail(NamedTuple):
    """A pair made small: photo and coloured label map as RGB images of one size, at most BOX×BOX."""

    stem: str
    photo: Image.Image
    label_map: Image.Image


def thumbnail(stem: str, photo: Image.Image, labels: np.ndarray, label_space: LabelSpace) -> Thumbnail:
    """Shrink a sample for the sheet. photo: RGB; labels: H×W raw ids inside `label_space`."""
    scale = min(BOX / photo.width, BOX / photo.height)
    size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
    # Averaging keeps thin classes visible as a picture shrinks; growing shows pixels as squares.
    filtering = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    colors = Image.fromarray(label_space.colorize(labels)).resize(size, filtering)
    return Thumbnail(stem, photo.resize(size, Image.Resampling.BICUBIC), colors)


def contact_sheet(
    title: str,
    subtitle: str,
    thumbnails: Sequence[Thumbnail],
    label_space: LabelSpace,
    shares: np.ndarray,
) -> Image.Image:
    """The sheet as an RGB image. shares: of all pixels by channel, `label_space.channels` numbers in 0..1."""
    cell = 2 * BOX + 4
    width = COLUMNS * cell + (COLUMNS + 1) * GAP
    rows = [thumbnails[i : i + COLUMNS] for i in range(0, len(thumbnails), COLUMNS)]
    heights = [max(pair.photo.height for pair in row) for row in rows]
    y = 116
    legend_top = y + sum(height + 24 + GAP for height in heights)
    legend_rows = -(-len(shares) // LEGEND_COLUMNS)
    sheet = Image.new("RGB", (width, legend_top + 40 + legend_rows * ROW + GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (GAP, 26), title, INK, 34)
    _write(draw, (GAP, 72), subtitle.replace("×", " x "), FAINT, 17)  # Pillow's font has no ×
    for row, height in zip(rows, heights, strict=True):
        for i, pair in enumerate(row):
            x = GAP + i * (cell + GAP)
            for part, left in ((pair.photo, x), (pair.label_map, x + BOX + 4)):
                sheet.paste(part, (left + (BOX - part.width) // 2, y + (height - part.height) // 2))
            _write(draw, (x, y + height + 6), _fitted(pair.stem, cell, 14), FAINT, 14)
        y += height + 24 + GAP
    draw.line((GAP, legend_top, width - GAP, legend_top), HAIRLINE)
    _draw_legend(draw, label_space, shares, legend_top + 22, width)
    return sheet


def _draw_legend(
    draw: ImageDraw.ImageDraw, label_space: LabelSpace, shares: np.ndarray, top: int, width: int
) -> None:
    """Swatch, id, name and share of each channel, by falling share, in columns read downwards."""
    names = [*label_space.names, "no class"]
    ids = [*range(label_space.classes), label_space.ignore]
    colors: list[Color] = [*label_space.colors, (0, 0, 0)]
    order = np.argsort(-shares, kind="stable")
    rows = -(-len(order) // LEGEND_COLUMNS)
    column = (width - 2 * GAP) // LEGEND_COLUMNS
    name_at = 38 + max(len(str(number)) for number in ids) * 9  # digits of this size are 9 pixels wide
    for place, channel in enumerate(order):
        x = GAP + place // rows * column
        y = top + place % rows * ROW
        ink = INK if shares[channel] else FAINT
        draw.rounded_rectangle((x, y + 2, x + 16, y + 18), 3, colors[channel], HAIRLINE)
        _write(draw, (x + 26, y), f"{ids[channel]}", FAINT, 15)
        _write(draw, (x + name_at, y), _fitted(names[channel], column - 124 - name_at, 15), ink, 15)
        _write(draw, (x + column - 40, y), share_text(shares[channel]), ink, 15, anchor="ra")


def share_text(share: float) -> str:
    """A share in per cent with the digits that matter: 12.3 %, 0.04 %, < 0.01 % or 0 %."""
    if share == 0:
        return "0 %"
    if share < 0.0001:
        return "< 0.01 %"
    return f"{100 * share:.1f} %" if share >= 0.001 else f"{100 * share:.2f} %"


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, ink: Color, size: int, *, anchor: str = "la"
) -> None:
    draw.text(at, text, ink, _font(size, text), anchor)


def _fitted(text: str, width: int, size: int) -> str:
    font = _font(size, text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _font(size: int, text: str) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which covers little more than ASCII; for other texts the first wide one there is."""
    if not text.replace("…", "").replace("·", "").isascii():
        for name in WIDE_FONTS:
            with contextlib.suppress(OSError):
                return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)
