"""The pix2pix generator (Isola et al., CVPR 2017, arXiv 1611.07004): a U-Net."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from ccfpse.models.interface import GeneratorSettings, ImageGenerator, LayoutConfig
from ccfpse.models.layers import initialise
from ccfpse.settings import setting


@dataclass(frozen=True)
class Pix2PixSettings(GeneratorSettings):
    """The U-Net: no style vector; its noise is dropout, which is off when images are drawn."""

    kind: Literal["pix2pix"] = field(default="pix2pix", init=False)
    width: int = setting(64, "channels of the U-Net's first layer (nf), at most 8 times as many further in")
    halvings: int = setting(8, "halvings of the U-Net; sizes are multiples of 2^halvings")
    dropout: float = setting(0.5, "share of activations dropped in the three innermost layers upwards")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 1 or self.halvings < 2 or not 0 <= self.dropout < 1:
            raise ValueError(
                f"width {self.width} must be 1 or more, halvings {self.halvings} 2 or more and "
                f"dropout {self.dropout} in [0, 1)"
            )

    @property
    def size_multiple(self) -> int:
        return 2**self.halvings


@dataclass(frozen=True)
class Pix2PixConfig(Pix2PixSettings, LayoutConfig):
    """Numbers that define a U-Net; the defaults are the paper's."""


class Pix2PixGenerator(ImageGenerator):
    """conv4×4 of stride 2 all the way down, transposed ones all the way up, each of which reads the features
    of its size from the way down beside those of the layer before.

    The outermost layers and the innermost one downwards have no batch norm: there, at 256² and batch 1, it
    would see a single number and make it zero.
    """

    config: Pix2PixConfig

    def __init__(self, config: Pix2PixConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * min(8, 2**level) for level in range(config.halvings)]
        self.down = nn.ModuleList([_conv(nn.Conv2d, config.semantic_channels, widths[0], norm=False)])
        for level, (fin, fout) in enumerate(pairwise(widths), start=2):
            norm = level < config.halvings
            self.down.append(nn.Sequential(nn.LeakyReLU(0.2), _conv(nn.Conv2d, fin, fout, norm=norm)))
        self.up = nn.ModuleList()
        skips = [0, *reversed(widths[:-1])]  # the innermost reads no skip
        outputs = [*reversed(widths[:-1]), 3]
        for index, (skip, fout) in enumerate(zip(skips, outputs, strict=True)):
            fin = widths[-1] if index == 0 else outputs[index - 1] + skip
            last = index == config.halvings - 1
            layers = [nn.ReLU(), _conv(nn.ConvTranspose2d, fin, fout, norm=not last)]
            self.up.append(
                nn.Sequential(*layers, *([nn.Dropout(config.dropout)] if index < 3 and not last else []))
            )
        initialise(self)

    def forward(self, semantic: torch.Tensor, z: torch.Tensor | None = None) -> torch.Tensor:
        """semantic N×S×H×W -> image N×3×H×W in [-1, 1]; z must be None. ValueError for other shapes."""
        self.check(semantic, z)
        features = [semantic]
        for down in self.down:
            features.append(down(features[-1]))
        x = self.up[0](features.pop())
        for up in self.up[1:]:
            x = up(torch.cat([x, features.pop()], dim=1))
        return torch.tanh(x)


def _conv(kind: type[nn.Conv2d] | type[nn.ConvTranspose2d], fin: int, fout: int, *, norm: bool) -> nn.Module:
    """conv4×4 of stride 2, then batch norm or, without, a bias."""
    conv = kind(fin, fout, 4, stride=2, padding=1, bias=not norm)
    return nn.Sequential(conv, nn.BatchNorm2d(fout)) if norm else conv
