"""Images as arrays: between tensors, pixels and grids, and photos of any kind as RGB."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:  # rooms without torch read photos with this module
    import torch

GAP = 4


def to_uint8(images: "torch.Tensor") -> np.ndarray:
    """N×3×H×W in [-1, 1] -> N×H×W×3 uint8, rounded."""
    pixels = ((images.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return pixels.permute(0, 2, 3, 1).cpu().numpy()


def to_tensor(photos: np.ndarray) -> "torch.Tensor":
    """N×H×W×3 uint8 -> N×3×H×W float32 in [-1, 1]."""
    import torch

    return torch.from_numpy(np.array(photos)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_rgb(image: Image.Image) -> Image.Image:
    """A photo of any mode in 8-bit RGB: transparency is laid over white, 16 bits are scaled to 8.

    Nothing is turned by the EXIF orientation, and the result need not carry one.
    """
    if image.mode.startswith("I"):  # 16 bits: Pillow would clip at 255 instead of scaling
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def grid(rows: Sequence[Sequence[np.ndarray]]) -> Image.Image:
    """Pictures H×W×3 uint8 in rows and columns of equal cells, on white."""
    height = max(cell.shape[0] for row in rows for cell in row)
    width = max(cell.shape[1] for row in rows for cell in row)
    columns = max(len(row) for row in rows)
    size = (len(rows) * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3)
    canvas = np.full(size, 255, np.uint8)
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            top, left = y * (height + GAP), x * (width + GAP)
            canvas[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return Image.fromarray(canvas)
