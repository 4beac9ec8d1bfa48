"""Trained layers as constants: spectral norm divided out, batch norm as an affine map or inside the weights.

Everything is folded in float32 and only then takes its place: device, dtype, and channels_last memory, in
which convolutions run fastest on CPUs and GPUs alike and every kernel tap is a contiguous run of channels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.models.blocks import SpadeNorm
from ccfpse.models.layers import ConvNormAct, SpectralConv2d

SLOPE = 0.2  # of every leaky ReLU


@dataclass(frozen=True)
class Place:
    """Where folded weights live."""

    device: torch.device
    dtype: torch.dtype

    def vector(self, values: torch.Tensor) -> torch.Tensor:
        """C values, shaped 1×C×1×1 so that they broadcast over images."""
        return values.detach().to(self.device, self.dtype, copy=True).view(1, -1, 1, 1)

    def matrix(self, values: torch.Tensor) -> torch.Tensor:
        return values.detach().to(self.device, self.dtype, copy=True).contiguous()

    def convolution(
        self, weight: torch.Tensor, bias: torch.Tensor | None, *, stride: int = 1
    ) -> "Convolution":
        """A convolution with zero padding k // 2; weight out×in×k×k, bias `out` or None."""
        placed = weight.detach().to(self.device, self.dtype, copy=True)
        return Convolution(
            placed.contiguous(memory_format=torch.channels_last),
            None if bias is None else bias.detach().to(self.device, self.dtype, copy=True),
            stride,
        )


@dataclass(frozen=True)
class Convolution:
    """Constant weights of one convolution."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: int = 1

    @property
    def margin(self) -> int:
        """Rows and columns that it reads beyond a pixel on each side."""
        return self.weight.shape[-1] // 2

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """N×in×H×W -> N×out×H×W (divided by the stride), zero beyond the image."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.margin)

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        """The same for a strip that brings its own `margin` rows above and below."""
        return F.conv2d(x, self.weight, self.bias, padding=(0, self.margin))


def plain_weight(layer: nn.Conv2d) -> torch.Tensor:
    """A convolution's weight in eval, the spectral norm divided out."""
    if isinstance(layer, SpectralConv2d):
        matrix = layer.weight.detach().flatten(1)
        return layer.weight.detach() / torch.dot(layer.u, matrix @ layer.v)
    return layer.weight.detach()


def affine(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Batch norm in eval is x·scale + shift; both with one value per channel."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.affine:
        scale = scale * norm.weight.detach()
    shift = -norm.running_mean * scale
    return scale, shift + norm.bias.detach() if norm.affine else shift


def folded(layer: ConvNormAct) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of convolution and batch norm in one (exact: the norm follows the convolution)."""
    convolution, norm = layer[0], layer[1]
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    scale, shift = affine(norm)
    return plain_weight(convolution) * scale.view(-1, 1, 1, 1), shift


def modulation(norm: SpadeNorm, place: Place) -> Convolution:
    """(x·a + b)(1 + γ) + β = x·[a(1 + γ)] + [b(1 + γ) + β] with the norm's a and b: both brackets at once.

    The convolution makes SPADE's scale in the first half of its channels and the shift in the second.
    """
    a, b = affine(norm.norm)
    layer = norm.modulation
    assert layer.bias is not None
    gamma, beta = layer.weight.chunk(2)
    gamma_bias, beta_bias = layer.bias.chunk(2)
    column = (-1, 1, 1, 1)
    return place.convolution(
        torch.cat([gamma * a.view(column), gamma * b.view(column) + beta]),
        torch.cat([(1 + gamma_bias) * a, (1 + gamma_bias) * b + beta_bias]),
    )
