"""The SPADE block for inference: convolutions of activations whose modulation comes in strips."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ccfpse.inference.fold import SLOPE, Convolution, Place, modulation, plain_weight
from ccfpse.inference.image_path import FastBlock, Strips, modulated
from ccfpse.inference.predict import Head, Predictor
from ccfpse.models import LayoutConfig
from ccfpse.models.blocks import SpadeBlock


@dataclass(frozen=True)
class FastSpadeBlock(FastBlock):
    """A folded SPADE block. Its two or three normalisations have a predictor each."""

    conv_1: Convolution
    conv_2: Convolution
    shortcut: Convolution | None

    @classmethod
    def of(cls, block: SpadeBlock, place: Place, layout: LayoutConfig, *, factor: int) -> "FastSpadeBlock":
        """`factor` as in `FastBlock`."""
        norms = [block.norm_1, block.norm_2] + ([] if block.shortcut is None else [block.shortcut])
        heads = [Head("modulation", branch, modulation(norm, place)) for branch, norm in enumerate(norms)]
        conv_1, conv_2 = (
            place.convolution(plain_weight(layer), layer.bias) for layer in (block.conv_1, block.conv_2)
        )
        return cls(
            tuple(Predictor.of(block.hidden, [head], place, layout) for head in heads),
            factor,
            conv_1,
            conv_2,
            None if block.shortcut is None else place.convolution(plain_weight(block.shortcut.conv), None),
        )

    @property
    def held_channels(self) -> float:
        """Input, its activation and the middle; the output takes the activation's place."""
        middle, fin = self.conv_1.weight.shape[:2]
        return fin / self.factor**2 + fin + middle

    def __call__(self, x: torch.Tensor, strips: Strips) -> torch.Tensor:
        active = self.map_like(x, self.conv_1.weight.shape[1])
        for strip in strips[0]:
            rows = active[:, :, strip.top : strip.bottom]
            F.leaky_relu_(modulated(self.rows(x, strip.top, strip.bottom), strip, out=rows), SLOPE)
        middle = self.conv_1(active)
        del active
        for strip in strips[1]:
            rows = middle[:, :, strip.top : strip.bottom]
            F.leaky_relu_(modulated(rows, strip, out=rows), SLOPE)
        out = self.conv_2(middle)
        if self.shortcut is None:
            return out.add_(self.rows(x, 0, out.shape[2]))
        for strip in strips[2]:
            straight = modulated(self.rows(x, strip.top, strip.bottom), strip)
            out[:, :, strip.top : strip.bottom].add_(self.shortcut(straight))
        return out
