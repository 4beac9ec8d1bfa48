"""Everything that depends on the layout alone: computed once for all styles, kept as far as memory allows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.inference.fold import SLOPE, Convolution, Place, folded
from ccfpse.inference.lookup import Codes, LabelTable
from ccfpse.inference.predict import Strip
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
    def of(cls, pyramid: LayoutPyramid, place: Place, *, classes: int, unknown: bool) -> "FastPyramid":
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
        table = LabelTable.of(weight, place, classes=classes, unknown=unknown)
        return cls(table, place.vector(bias), encoder, laterals, decoder)

    def __call__(self, codes: Codes) -> list[torch.Tensor]:
        """Codes at the full resolution -> maps 1×F×h×w from the coarsest to the full resolution."""
        height = codes.bordered.shape[0] - 2
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
    """What one block knows of a layout: either its strips, or what they are predicted from."""

    strips: tuple[Sequence[Strip], Sequence[Strip]] | None
    features: torch.Tensor | None
    codes: Codes | None


@dataclass(frozen=True)
class LayoutPlan:
    """A layout, ready for any number of styles. Immutable; safe to share between threads.

    size: (height, width) of the picture.
    start: the start grid 1×C×h₀×w₀ of a generator without style.
    blocks: one entry per CC block.
    """

    size: tuple[int, int]
    start: torch.Tensor | None
    blocks: tuple[BlockLayout, ...]
    nbytes: int = field(init=False)

    def __post_init__(self) -> None:
        held: dict[int, int] = {}  # blocks of one level share their tensors
        tensors: list[torch.Tensor] = [] if self.start is None else [self.start]
        for block in self.blocks:
            if block.strips is not None:
                tensors += [t for strips in block.strips for strip in strips for t in strip.tensors()]
            if block.features is not None and block.codes is not None:
                tensors += [block.features, block.codes.bordered]
        for tensor in tensors:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        object.__setattr__(self, "nbytes", sum(held.values()))
