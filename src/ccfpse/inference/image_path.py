"""A block's image path: what is left to do for each style once the layout's strips are there."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ccfpse.inference.predict import Level, Predictor, Strip

Strips = Sequence[Iterable[Strip]]  # of each predictor, each from top to bottom


@dataclass(frozen=True)
class FastBlock(ABC):
    """A folded block: its predictors in the order in which their strips are used, and what they are used for.

    `factor` is 2 where the block's input is upsampled first, else 1.
    """

    predictors: tuple[Predictor, ...]
    factor: int

    @property
    @abstractmethod
    def held_channels(self) -> float:
        """Channels of the block's resolution that one style takes at its peak."""

    @abstractmethod
    def __call__(self, x: torch.Tensor, strips: Strips) -> torch.Tensor:
        """x N×fin×h×w -> N×fout×(factor·h)×(factor·w), channels_last; goes through the strips once."""

    def strips(self, level: Level) -> list[Iterator[Strip]]:
        """The strips of each predictor, predicted when they are asked for."""
        return [predictor.strips(level) for predictor in self.predictors]

    def predicted_bytes(self, level: Level) -> int:
        """What keeping all strips of one layout takes."""
        return sum(predictor.nbytes(level.size) for predictor in self.predictors)

    def map_like(self, x: torch.Tensor, channels: int) -> torch.Tensor:
        """N×channels×(factor·h)×(factor·w) to be filled strip by strip."""
        n, _, height, width = x.shape
        return torch.empty(
            (n, channels, self.factor * height, self.factor * width),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last,
        )

    def rows(self, x: torch.Tensor, top: int, bottom: int) -> torch.Tensor:
        """Rows [top, bottom) of x upsampled by nearest, without upsampling the rest."""
        if self.factor == 1:
            return x[:, :, top:bottom]
        first = top // self.factor
        rows = x[:, :, first : -(-bottom // self.factor)]
        rows = F.interpolate(rows, scale_factor=float(self.factor), mode="nearest")
        return rows[:, :, top - first * self.factor : bottom - first * self.factor]


def modulated(x: torch.Tensor, strip: Strip, out: torch.Tensor | None = None) -> torch.Tensor:
    """SPADE of the strip's rows x N×C×rows×w: their norm is part of the predicted scale and shift."""
    scale, shift = strip.maps["modulation"].chunk(2, dim=1)
    return torch.addcmul(shift, x, scale, out=out)
