"""The pix2pixHD generator (Wang et al., CVPR 2018, arXiv 1711.11585): a residual network at low resolution,
and a local enhancer around it.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.models.interface import GeneratorSettings, ImageGenerator, LayoutConfig
from ccfpse.models.layers import initialise
from ccfpse.settings import setting


@dataclass(frozen=True)
class Pix2PixHDSettings(GeneratorSettings):
    """The pix2pixHD generator: no style vector."""

    kind: Literal["pix2pixhd"] = field(default="pix2pixhd", init=False)
    width: int = setting(64, "channels of the global generator's first layer (nf)")
    halvings: int = setting(4, "halvings of the global generator, each doubling its channels")
    blocks: int = setting(9, "residual blocks of the global generator")
    enhancer_blocks: int = setting(
        0, "residual blocks of the local enhancer at twice the size: 3 (paper); 0: no enhancer"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 2 or self.halvings < 1 or self.blocks < 0 or self.enhancer_blocks < 0:
            raise ValueError(
                f"width {self.width} must be 2 or more, halvings {self.halvings} 1 or more, "
                f"blocks {self.blocks} and enhancer_blocks {self.enhancer_blocks} 0 or more"
            )

    @property
    def size_multiple(self) -> int:
        """One halving more than there are: neither instance norm nor reflection can do with one pixel."""
        return 2 ** (self.halvings + 1 + (self.enhancer_blocks > 0))


@dataclass(frozen=True)
class Pix2PixHDConfig(Pix2PixHDSettings, LayoutConfig):
    """Numbers that define a pix2pixHD generator; the defaults are the paper's global generator."""


class Pix2PixHDGenerator(ImageGenerator):
    """With an enhancer, the global generator works at half the size, and its last features are added to those
    of the enhancer's front end.
    """

    config: Pix2PixHDConfig

    def __init__(self, config: Pix2PixHDConfig) -> None:
        super().__init__()
        self.config = config
        channels, width = config.semantic_channels, config.width
        self.global_features = nn.Sequential(
            ConvNormRelu(channels, width, 7),
            *(ConvNormRelu(width << i, width << i + 1, 3, stride=2) for i in range(config.halvings)),
            *(ResidualBlock(width << config.halvings) for _ in range(config.blocks)),
            *(UpNormRelu(width << i + 1, width << i) for i in reversed(range(config.halvings))),
        )
        self.front = self.back = None
        if config.enhancer_blocks:
            self.front = nn.Sequential(
                ConvNormRelu(channels, width // 2, 7), ConvNormRelu(width // 2, width, 3, stride=2)
            )
            self.back = nn.Sequential(
                *(ResidualBlock(width) for _ in range(config.enhancer_blocks)), UpNormRelu(width, width // 2)
            )
            width //= 2
        self.to_image = nn.Conv2d(width, 3, 7, padding=3, padding_mode="reflect")
        initialise(self)

    def forward(self, semantic: torch.Tensor, z: torch.Tensor | None = None) -> torch.Tensor:
        """semantic N×S×H×W -> image N×3×H×W in [-1, 1]; z must be None. ValueError for other shapes.

        The enhancer's global generator reads every other pixel of the semantic map, which keeps it one-hot.
        """
        self.check(semantic, z)
        if self.front is None or self.back is None:
            x = self.global_features(semantic)
        else:
            coarse = self.global_features(F.interpolate(semantic, scale_factor=0.5, mode="nearest"))
            x = self.back(self.front(semantic) + coarse)
        return torch.tanh(self.to_image(x))


class ConvNormRelu(nn.Sequential):
    """conv (no bias) · IN · ReLU; the border is reflected at stride 1 and zero at stride 2."""

    def __init__(self, fin: int, fout: int, kernel: int, *, stride: int = 1) -> None:
        mode: Literal["reflect", "zeros"] = "reflect" if stride == 1 else "zeros"
        padding = kernel // 2
        super().__init__(
            nn.Conv2d(fin, fout, kernel, stride=stride, padding=padding, padding_mode=mode, bias=False),
            nn.InstanceNorm2d(fout),
            nn.ReLU(),
        )


class UpNormRelu(nn.Sequential):
    """Transposed conv3×3 of stride 2 (no bias) · IN · ReLU: twice the size."""

    def __init__(self, fin: int, fout: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(fin, fout, 3, stride=2, padding=1, output_padding=1, bias=False),
            nn.InstanceNorm2d(fout),
            nn.ReLU(),
        )


class ResidualBlock(nn.Module):
    """x + IN(conv3×3(ReLU(IN(conv3×3(x))))), borders reflected, no biases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            ConvNormRelu(channels, channels, 3),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)
