"""A contact sheet of layouts, generated images and photos."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

GAP, TITLE, CAPTION, LONGEST = 6, 26, 16, 192  # pixels


def sheet(bands: Sequence[tuple[str, Sequence[tuple[str, Sequence[np.ndarray]]]]]) -> Image.Image:
    """Bands of columns, each column a stack of H×W×3 uint8 arrays of one size with a caption below.

    bands: (title, [(caption, arrays)]), the same number of columns and arrays everywhere. Larger pictures are
    scaled down to LONGEST pixels.
    """
    columns = bands[0][1]
    height, width = columns[0][1][0].shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    height, width = round(height * scale), round(width * scale)
    band_height = TITLE + len(columns[0][1]) * (height + GAP) + CAPTION
    canvas = Image.new("RGB", (GAP + len(columns) * (width + GAP), GAP + len(bands) * band_height), "white")
    draw = ImageDraw.Draw(canvas)
    for row, (title, stacks) in enumerate(bands):
        top = GAP + row * band_height
        draw.text((GAP, top), f"{title}: layout, generated, real", fill="black", font_size=16)
        for place, (caption, arrays) in enumerate(stacks):
            left = GAP + place * (width + GAP)
            for level, array in enumerate(arrays):
                tile = Image.fromarray(array)
                if tile.size != (width, height):
                    tile = tile.resize((width, height), Image.Resampling.LANCZOS)
                canvas.paste(tile, (left, top + TITLE + level * (height + GAP)))
            draw.text((left, top + band_height - CAPTION - 2), caption, fill="black", font_size=12)
    return canvas
