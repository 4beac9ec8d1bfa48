"""The style encoder of multi-modal training: a photo's style as a normal distribution."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.models.layers import IMAGE_NORMS, ConvNormAct, initialise


@dataclass(frozen=True)
class StyleEncoderConfig:
    """width: channels of the first layer ("nf"); input_size: the square photos are resized to,
    256 in the paper; norm: instance (paper), or layer, which lets brightness and contrast through.
    """

    width: int = 64
    style_dim: int = 256
    input_size: int = 256
    norm: Literal["instance", "layer"] = "instance"

    def __post_init__(self) -> None:
        if self.input_size < 8:
            raise ValueError(f"input_size is {self.input_size}, expected 8 or more (256 in the paper)")


class StyleEncoder(nn.Module):
    """Six SN-convolutions of stride 2 with instance norm, then two Linears on 4×4 features: μ and log σ².

    With an input below 256 the last layers run at stride 1 once 4×4 is reached: instance norm of a single
    pixel would be constant zero. Other sizes are pooled to 4×4.
    """

    def __init__(self, config: StyleEncoderConfig) -> None:
        super().__init__()
        self.config = config
        widths = [3, *(config.width * multiple for multiple in (1, 2, 4, 8, 8, 8))]
        halvings = max(1, min(6, int(math.log2(config.input_size / 4))))
        self.layers = nn.ModuleList(
            ConvNormAct(fin, fout, 3, stride=2 if layer < halvings else 1, norm=IMAGE_NORMS[config.norm])
            for layer, (fin, fout) in enumerate(pairwise(widths))
        )
        self.mu = nn.Linear(widths[-1] * 16, config.style_dim)
        self.logvar = nn.Linear(widths[-1] * 16, config.style_dim)
        initialise(self)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """image N×3×H×W in [-1, 1] -> (μ, log σ²), each N×style_dim."""
        size = (self.config.input_size, self.config.input_size)
        x = image
        if x.shape[2:] != size:
            x = F.interpolate(x, size, mode="bilinear", align_corners=False)
        for layer in self.layers:
            x = layer(x)
        x = F.adaptive_avg_pool2d(x, 4).flatten(1)
        return self.mu(x), self.logvar(x)


def sample_style(mu: torch.Tensor, logvar: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """z = μ + ε·exp(½ log σ²), ε ~ N(0, I) given by the caller."""
    return mu + noise * torch.exp(0.5 * logvar)
