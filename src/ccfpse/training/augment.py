"""Differentiable augmentation of what the discriminator sees (Zhao et al. 2020, arXiv 2006.10738).

The discriminator gets generated images and photos through the same random changes, and the generator's
gradient flows back through them, so that the changes do not leak into what is generated. Here it judges
pairs of image and layout:

- color changes the image alone: a layout has no colours;
- translation and cutout change both alike. Moved alone, an image would no longer fit its layout, for photos
  too, and the discriminator would learn that fit does not matter. Where the image is filled with zeros (mid
  grey) so is the layout, all its channels: no class, hence no opinion on what ought to be there;
- a generated image and the photo of its layout are changed alike, since their features are compared.

The draws belong to an image of the run (`schedule.augmentation_draws`), so that resuming is exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

DRAWS = 7  # numbers per image
SHIFT, HOLE = 1 / 8, 1 / 2  # shares of the sides, as in the paper


@dataclass(frozen=True)
class Augmentation:
    """kinds: any of color, translation, cutout. draws: N×7 uniform in [0, 1), a row per image."""

    kinds: Sequence[str]
    draws: torch.Tensor

    def __call__(self, images: torch.Tensor, semantic: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """images M×3×H×W in [-1, 1], semantic M×S×H×W, M a multiple of N: each N get the same changes."""
        draws = self.draws.repeat(len(images) // len(self.draws), 1)
        if "color" in self.kinds:
            images = _color(images, draws[:, :3])
        if "translation" in self.kinds:
            images, semantic = (_translation(x, draws[:, 3:5]) for x in (images, semantic))
        if "cutout" in self.kinds:
            mask = _cutout(images, draws[:, 5:7])
            images, semantic = images * mask, semantic * mask
        return images, semantic


def _color(x: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Brightness ± 0.5, saturation · 0 … 2, contrast · 0.5 … 1.5, in this order."""
    brightness, saturation, contrast = draws.view(*draws.shape, 1, 1, 1).unbind(1)
    x = x + brightness - 0.5
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (2 * saturation) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (contrast + 0.5) + mean


def _translation(x: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Shifts by up to an eighth of each side; what comes in is zero."""
    height, width = x.shape[2:]
    most = (round(height * SHIFT), round(width * SHIFT))
    padded = F.pad(x, (most[1], most[1], most[0], most[0]))
    moved = []
    for sample, (down, right) in zip(padded, draws.tolist(), strict=True):
        top, left = int(down * (2 * most[0] + 1)), int(right * (2 * most[1] + 1))
        moved.append(sample[:, top : top + height, left : left + width])
    return torch.stack(moved)


def _cutout(x: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """N×1×H×W, zero in a rectangle of half the sides whose centre lies anywhere."""
    inside = []
    for side, draw in zip(x.shape[2:], draws.unbind(1), strict=True):
        hole = round(side * HOLE)
        first = (draw * (side + (hole + 1) % 2)).floor()[:, None] - hole // 2
        place = torch.arange(side, device=x.device)
        inside.append((place >= first) & (place < first + hole))
    return (~(inside[0][:, None, :, None] & inside[1][:, None, None, :])).to(x.dtype)
