"""A CC block's image path: what is left to do for each style once the layout's strips are there."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.inference.fold import SLOPE, Convolution, Place, affine, plain_weight
from ccfpse.inference.lookup import Codes, LabelTable
from ccfpse.inference.predict import Stage, Strip
from ccfpse.models.blocks import CCBlock, SpadeShortcut
from ccfpse.ops.strip import cond_conv_strip

Strips = tuple[Iterable[Strip], Iterable[Strip]]  # of the two stages, each from top to bottom


@dataclass(frozen=True)
class FastBlock:
    """A folded CC block; `factor` is 2 where its input is upsampled first, else 1."""

    stages: tuple[Stage, Stage]
    shortcut: Convolution | None
    factor: int

    @classmethod
    def of(
        cls, block: CCBlock, place: Place, *, factor: int, semantic_channels: int, classes: int, unknown: bool
    ) -> "FastBlock":
        weights, biases = (tensor.chunk(block.hidden.branches) for tensor in block.hidden.parameters())

        has_gates, has_spade = block.gate_1 is not None, block.shortcut is not None

        def stage(
            norm: nn.BatchNorm2d,
            mix: nn.Conv2d,
            kernels: nn.Conv2d,
            gate: nn.Conv2d | None,
            spade: SpadeShortcut | None,
            branches: list[int],
        ) -> Stage:
            weight = torch.cat([weights[branch] for branch in branches])
            bias = torch.cat([biases[branch] for branch in branches])
            assert kernels.bias is not None
            scale, shift = affine(norm)
            return Stage(
                place.vector(scale),
                place.vector(shift),
                place.convolution(mix.weight, mix.bias),
                LabelTable.of(weight[:, :semantic_channels], place, classes=classes, unknown=unknown),
                place.convolution(weight[:, semantic_channels:], bias),
                place.convolution(tap_major(kernels.weight), tap_major(kernels.bias)),
                None if gate is None else place.convolution(gate.weight, gate.bias),
                None if spade is None else _modulation(spade, place),
            )

        # The hidden map's shares: kernels 1 and 2, gates 1 and 2, SPADE; the last three where there are any.
        # SPADE's goes with the second half, where the shortcut is added.
        shares = [[0, 2], [1, 3]] if has_gates else [[0], [1]]
        shares[1] += [block.hidden.branches - 1] if has_spade else []
        first = stage(block.norm_1, block.mix_1, block.kernels_1, block.gate_1, None, shares[0])
        second = stage(block.norm_2, block.mix_2, block.kernels_2, block.gate_2, block.shortcut, shares[1])
        shortcut = None
        if block.shortcut is not None:
            shortcut = place.convolution(plain_weight(block.shortcut.conv), None)
        return cls((first, second), shortcut, factor)

    def strips(self, features: torch.Tensor, codes: Codes) -> Strips:
        """Both stages' strips, predicted when they are asked for."""
        first, second = (stage.strips(features, codes) for stage in self.stages)
        return first, second

    def predicted_bytes(self, height: int, width: int) -> int:
        """What keeping all strips of one layout takes, at the block's resolution."""
        size = self.stages[0].scale.element_size()
        return sum(stage.channels for stage in self.stages) * height * width * size

    def __call__(self, x: torch.Tensor, strips: Strips) -> torch.Tensor:
        """x N×fin×h×w -> N×fout×(factor·h)×(factor·w), channels_last."""
        first, second = self.stages
        n, _, height, width = x.shape
        height, width = self.factor * height, self.factor * width
        # The second conditional convolution's input, with its zero border.
        middle = x.new_zeros((n, len(first.mix.weight), height + 2, width + 2)).contiguous(
            memory_format=torch.channels_last
        )
        for strip in strips[0]:
            y = _activated(first, strip, self._window(x, strip))
            inner = middle[:, :, strip.top + 1 : strip.bottom + 1, 1:-1]
            torch.addcmul(second.shift, y, second.scale, out=inner)
        out = torch.empty(
            (n, len(second.mix.weight), height, width),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last,
        )
        for strip in strips[1]:
            y = _activated(second, strip, middle[:, :, strip.top : strip.bottom + 2])
            straight = upsampled_rows(x, strip.top, strip.bottom, self.factor)
            if self.shortcut is not None and strip.modulation is not None:
                scale, shift = strip.modulation
                straight = self.shortcut(torch.addcmul(shift, straight, scale))
            torch.add(y, straight, out=out[:, :, strip.top : strip.bottom])
        return out

    def _window(self, x: torch.Tensor, strip: Strip) -> torch.Tensor:
        """The norm of the strip's rows of x, upsampled, with a border of one pixel, zero beyond the image."""
        height = self.factor * x.shape[2]
        top, bottom = max(strip.top - 1, 0), min(strip.bottom + 1, height)
        rows = upsampled_rows(x, top, bottom, self.factor)
        rows = torch.addcmul(self.stages[0].shift, rows, self.stages[0].scale)
        return F.pad(rows, (1, 1, top - (strip.top - 1), strip.bottom + 1 - bottom))


def _activated(stage: Stage, strip: Strip, window: torch.Tensor) -> torch.Tensor:
    mixed = stage.mix(cond_conv_strip(window, strip.kernels))
    return F.leaky_relu_(mixed if strip.gate is None else mixed.mul_(strip.gate), SLOPE)


def upsampled_rows(x: torch.Tensor, top: int, bottom: int, factor: int) -> torch.Tensor:
    """Rows [top, bottom) of x upsampled by nearest, without upsampling the rest."""
    if factor == 1:
        return x[:, :, top:bottom]
    first = top // factor
    rows = F.interpolate(x[:, :, first : -(-bottom // factor)], scale_factor=float(factor), mode="nearest")
    return rows[:, :, top - first * factor : bottom - first * factor]


def tap_major(values: torch.Tensor) -> torch.Tensor:
    """Predictors' outputs reordered from channel-major, 9c + t, to tap-major, t·C + c."""
    return values.unflatten(0, (-1, 9)).transpose(0, 1).flatten(0, 1)


def _modulation(shortcut: SpadeShortcut, place: Place) -> Convolution:
    """(x·a + b)(1 + γ) + β = x·[a(1 + γ)] + [b(1 + γ) + β] with the norm's a and b: both brackets at once."""
    a, b = affine(shortcut.norm)
    layer = shortcut.modulation
    assert layer.bias is not None
    gamma, beta = layer.weight.chunk(2)
    gamma_bias, beta_bias = layer.bias.chunk(2)
    column = (-1, 1, 1, 1)
    return place.convolution(
        torch.cat([gamma * a.view(column), gamma * b.view(column) + beta]),
        torch.cat([(1 + gamma_bias) * a, (1 + gamma_bias) * b + beta_bias]),
    )
