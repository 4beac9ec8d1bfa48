"""The CC block for inference: conditional convolutions whose kernels come in strips."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.inference.fold import SLOPE, Convolution, Place, affine, modulation, plain_weight
from ccfpse.inference.image_path import FastBlock, Strips, modulated
from ccfpse.inference.predict import Head, Predictor, Strip
from ccfpse.models import LayoutConfig
from ccfpse.models.blocks import CCBlock
from ccfpse.ops.strip import cond_conv_strip


@dataclass(frozen=True)
class Stage:
    """Half a CC block: norm, conditional convolution by a strip's kernels, 1×1 mixing, a strip's gate."""

    scale: torch.Tensor
    shift: torch.Tensor
    mix: Convolution

    @classmethod
    def of(cls, norm: nn.BatchNorm2d, mix: nn.Conv2d, place: Place) -> "Stage":
        scale, shift = affine(norm)
        return cls(place.vector(scale), place.vector(shift), place.convolution(mix.weight, mix.bias))

    def normed(self, x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        return torch.addcmul(self.shift, x, self.scale, out=out)

    def __call__(self, window: torch.Tensor, strip: Strip) -> torch.Tensor:
        """The strip's normed rows with a border of one pixel, N×C×(rows+2)×(w+2) -> N×out×rows×w."""
        mixed = self.mix(cond_conv_strip(window, strip.maps["kernels"]))
        gate = strip.maps.get("gate")
        return F.leaky_relu_(mixed if gate is None else mixed.mul_(gate), SLOPE)


@dataclass(frozen=True)
class FastCCBlock(FastBlock):
    """A folded CC block. SPADE's modulation comes with the second half, where the shortcut is added."""

    stages: tuple[Stage, Stage]
    shortcut: Convolution | None

    @classmethod
    def of(cls, block: CCBlock, place: Place, layout: LayoutConfig, *, factor: int) -> "FastCCBlock":
        """`factor` as in `FastBlock`."""

        def heads(kernels: nn.Conv2d, gate: nn.Conv2d | None, branch: int) -> list[Head]:
            """Branches of the hidden map: kernels 1 and 2, gates 1 and 2 where there are any, SPADE."""
            assert kernels.bias is not None
            taps = place.convolution(tap_major(kernels.weight), tap_major(kernels.bias))
            found = [Head("kernels", branch, taps)]
            if gate is not None:
                layer = place.convolution(gate.weight, gate.bias)
                found.append(Head("gate", 2 + branch, layer, sigmoid=True))
            return found

        first, second = heads(block.kernels_1, block.gate_1, 0), heads(block.kernels_2, block.gate_2, 1)
        shortcut = None
        if block.shortcut is not None:
            maps = modulation(block.shortcut, place)
            second.append(Head("modulation", block.hidden.branches - 1, maps))
            shortcut = place.convolution(plain_weight(block.shortcut.conv), None)
        predictors = tuple(Predictor.of(block.hidden, half, place, layout) for half in (first, second))
        stages = (Stage.of(block.norm_1, block.mix_1, place), Stage.of(block.norm_2, block.mix_2, place))
        return cls(predictors, factor, stages, shortcut)

    @property
    def held_channels(self) -> float:
        """Input, middle and output."""
        middle, out = (len(stage.mix.weight) for stage in self.stages)
        return self.stages[0].scale.shape[1] / self.factor**2 + middle + out

    def __call__(self, x: torch.Tensor, strips: Strips) -> torch.Tensor:
        first, second = self.stages
        n, _, height, width = x.shape
        height, width = self.factor * height, self.factor * width
        # The second conditional convolution's input, with its zero border.
        middle = x.new_zeros((n, len(first.mix.weight), height + 2, width + 2)).contiguous(
            memory_format=torch.channels_last
        )
        for strip in strips[0]:
            y = first(self._window(x, strip), strip)
            second.normed(y, out=middle[:, :, strip.top + 1 : strip.bottom + 1, 1:-1])
        out = self.map_like(x, len(second.mix.weight))
        for strip in strips[1]:
            y = second(middle[:, :, strip.top : strip.bottom + 2], strip)
            straight = self.rows(x, strip.top, strip.bottom)
            if self.shortcut is not None:
                straight = self.shortcut(modulated(straight, strip))
            torch.add(y, straight, out=out[:, :, strip.top : strip.bottom])
        return out

    def _window(self, x: torch.Tensor, strip: Strip) -> torch.Tensor:
        """The norm of the strip's rows of x, upsampled, with a border of one pixel, zero beyond the image."""
        height = self.factor * x.shape[2]
        top, bottom = max(strip.top - 1, 0), min(strip.bottom + 1, height)
        rows = self.stages[0].normed(self.rows(x, top, bottom))
        return F.pad(rows, (1, 1, top - (strip.top - 1), strip.bottom + 1 - bottom))


def tap_major(values: torch.Tensor) -> torch.Tensor:
    """Predictors' outputs reordered from channel-major, 9c + t, to tap-major, t·C + c."""
    return values.unflatten(0, (-1, 9)).transpose(0, 1).flatten(0, 1)
