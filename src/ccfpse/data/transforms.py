"""Resize, crop and flip of a photo together with its label and instance maps."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class PairedTransform:
    """Resize to `load_size`, cut out `size`, flip; the same for the photo and its maps.

    Sizes are (height, width) in pixels; `load_size` None means `size`, so that nothing is cut. Photos are
    resized bicubically, maps always by nearest (pixel centres). `resize`: "stretch" to exactly `load_size`
    as in the paper, or "cover", which keeps the aspect ratio and makes both sides at least `load_size` (the
    crop then slides along the longer side). `crop`: "random" or "center". `flip`: mirror half of the
    samples.
    """

    size: tuple[int, int]
    load_size: tuple[int, int] | None = None
    flip: bool = False
    crop: Literal["random", "center"] = "random"
    resize: Literal["stretch", "cover"] = "stretch"

    def __post_init__(self) -> None:
        for name in ("size", "load_size"):
            value = getattr(self, name)
            if value is not None and (len(value) != 2 or min(value) < 1):
                raise ValueError(f"{name} must be (height, width) in pixels, got {value!r}")
        if self.load_size and (self.load_size[0] < self.size[0] or self.load_size[1] < self.size[1]):
            raise ValueError(
                f"load_size {self.load_size} is smaller than size {self.size}, which is cut out of it"
            )
        if self.crop not in ("random", "center"):
            raise ValueError(f"crop must be 'random' or 'center', got {self.crop!r}")
        if self.resize not in ("stretch", "cover"):
            raise ValueError(f"resize must be 'stretch' or 'cover', got {self.resize!r}")

    def __call__(
        self,
        photo: Image.Image,
        labels: np.ndarray,
        instances: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The three cut out of one window.

        photo: RGB PIL image; labels, instances: H×W integers of the photo's size. Returns h×w×3 uint8, h×w
        and h×w (or None), dtypes of the maps kept. Everything random is drawn from `rng`, always three
        numbers, so the result is a pure function of its state; without one the crop is central and nothing
        is flipped.
        """
        full = self._resized(labels.shape[0], labels.shape[1])
        top, left, mirror = (0.5, 0.5, 1.0) if rng is None else rng.random(3)
        if self.crop == "center":
            top, left = 0.5, 0.5
        (height, width), step = self.size, -1 if self.flip and mirror < 0.5 else 1
        y = int(top * (full[0] - height + 1))
        x = int(left * (full[1] - width + 1))
        rows = _nearest(full[0], labels.shape[0])[y : y + height]
        columns = _nearest(full[1], labels.shape[1])[x : x + width][::step]
        if photo.size != (full[1], full[0]):
            photo = photo.resize((full[1], full[0]), Image.Resampling.BICUBIC)
        pixels = np.asarray(photo)[y : y + height, x : x + width][:, ::step]
        cut = np.ix_(rows, columns)
        return np.ascontiguousarray(pixels), labels[cut], None if instances is None else instances[cut]

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        target = self.load_size or self.size
        if self.resize == "stretch":
            return target
        scale = max(target[0] / height, target[1] / width)
        return max(target[0], round(height * scale)), max(target[1], round(width * scale))


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) of "256" (a square) or "256,512"; ValueError for anything else."""
    parts = text.replace("x", ",").split(",")
    if not all(part.strip().isdigit() for part in parts) or len(parts) not in (1, 2):
        raise ValueError(f"size is {text!r}, expected one number (a square), or height,width")
    return int(parts[0]), int(parts[-1])


def _nearest(target: int, source: int) -> np.ndarray:
    """For each of `target` pixels the source pixel under its centre."""
    return (2 * np.arange(target) + 1) * source // (2 * target)
