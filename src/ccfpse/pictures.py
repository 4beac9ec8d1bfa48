"""Images as arrays: between tensors, pixels and grids."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

GAP = 4


def to_uint8(images: torch.Tensor) -> np.ndarray:
    """N×3×H×W in [-1, 1] -> N×H×W×3 uint8, rounded."""
    pixels = ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).cpu().numpy()


def to_tensor(photos: np.ndarray) -> torch.Tensor:
    """N×H×W×3 uint8 -> N×3×H×W float32 in [-1, 1]."""
    return torch.from_numpy(np.array(photos)).permute(0, 3, 1, 2).float() / 127.5 - 1


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
