"""Everything that depends on the layout alone: computed once for all styles, kept as far as memory allows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.inference.fold import SLOPE, Convolution, Place, folded
from ccfpse.inference.lookup import Codes, LabelTable
from ccfpse.inference.predict import Level, Strip
from ccfpse.models.layers import ConvNormAct, upsample
from ccfpse.models.pyramid import LayoutPyramid


@dataclass(frozen=True)
class FastPyramid:
    """The layout pyramid, folded; its first convolution is a look-up."""

    table: LabelTable
    bias: torch.Tensor
    encoder: tuple[Convolution, ...]
    laterals: tuple[Convolution, ...]
    decoder: tuple[Convolution, ...]

    @classmethod
    def of(cls, pyramid: LayoutPyramid, place: Place, *, channels: int) -> "FastPyramid":
        def convolution(layer: nn.Module) -> Convolution:
            assert isinstance(layer, ConvNormAct)
            assert isinstance(layer[0], nn.Conv2d)
            weight, bias = folded(layer)
            return place.convolution(weight, bias, stride=int(layer[0].stride[0]))

        first = pyramid.encoder[0]
        assert isinstance(first, ConvNormAct)
        weight, bias = folded(first)
        encoder, laterals, decoder = (
            tuple(convolution(layer) for layer in layers)
            for layers in (list(pyramid.encoder)[1:], pyramid.laterals, pyramid.decoder)
        )
        table = LabelTable.of(weight, place, channels=channels)
        return cls(table, place.vector(bias), encoder, laterals, decoder)

    def __call__(self, codes: Codes) -> list[torch.Tensor]:
        """Codes at the full resolution -> maps 1×F×h×w from the coarsest to the full resolution."""
        height = codes.bordered.shape[1] - 2
        encoded = [F.leaky_relu_(self.table(codes, 0, height).add_(self.bias), SLOPE)]
        for encode in self.encoder:
            encoded.append(F.leaky_relu_(encode(encoded[-1]), SLOPE))
        levels = [encoded.pop()]
        for lateral, decode in zip(self.laterals, self.decoder, strict=True):
            total = F.leaky_relu_(lateral(encoded.pop()), SLOPE).add_(upsample(levels[-1]))
            levels.append(F.leaky_relu_(decode(total), SLOPE))
        return levels


@dataclass(frozen=True)
class BlockLayout:
    """What one block knows of a layout: the strips of its predictors, or what they are predicted from."""

    strips: Sequence[Sequence[Strip]] | None
    level: Level | None

    def tensors(self) -> list[torch.Tensor]:
        maps = [t for strips in self.strips or () for strip in strips for t in strip.maps.values()]
        return maps + ([] if self.level is None else self.level.tensors())


@dataclass(frozen=True)
class LayoutPlan:
    """A layout, ready for any number of styles. Immutable; safe to share between threads.

    size: (height, width) of the picture.
    start: the start grid 1×C×h₀×w₀ of a generator without style.
    blocks: one entry per block.
    """

    size: tuple[int, int]
    start: torch.Tensor | None
    blocks: tuple[BlockLayout, ...]
    nbytes: int = field(init=False)

    def __post_init__(self) -> None:
        tensors = [tensor for block in self.blocks for tensor in block.tensors()]
        tensors += [] if self.start is None else [self.start]
        # Blocks of one level share its tensors.
        held = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        object.__setattr__(self, "nbytes", sum(held.values()))
