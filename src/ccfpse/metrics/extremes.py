"""The worst and the best images of an evaluation, as one picture."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ccfpse.pictures import grid

TITLE_HEIGHT, LARGEST = 24, 2400  # pixels


def sheet(bands: Sequence[tuple[str, Sequence[Sequence[np.ndarray]]]]) -> Image.Image:
    """Titled bands one below the other; a band is rows of H×W×3 uint8 pictures of one size."""
    grids = [(title, grid(rows)) for title, rows in bands]
    width = max(picture.width for _, picture in grids)
    height = sum(picture.height + TITLE_HEIGHT for _, picture in grids)
    canvas = Image.new("RGB", (width, height), "white")
    draw, top = ImageDraw.Draw(canvas), 0
    for title, picture in grids:
        draw.text((2, top + 3), title, fill="black", font_size=15)
        canvas.paste(picture, (0, top + TITLE_HEIGHT))
        top += TITLE_HEIGHT + picture.height
    canvas.thumbnail((LARGEST, LARGEST))
    return canvas
