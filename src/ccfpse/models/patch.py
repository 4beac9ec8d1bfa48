"""Patch discriminators: every score judges one patch of semantic map and image together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.models.interface import Discriminator, DiscriminatorSettings, ScoresAndFeatures, SemanticConfig
from ccfpse.models.layers import ConvNormAct, initialise
from ccfpse.settings import setting


@dataclass(frozen=True)
class MsPatchSettings(DiscriminatorSettings):
    """The multi-scale patch discriminator of pix2pixHD (arXiv 1711.11585), as SPADE uses it."""

    kind: Literal["ms_patch"] = field(default="ms_patch", init=False)
    width: int = setting(64, "channels of the discriminator's first layer")
    scales: int = setting(2, "copies of the patch discriminator, each at half the size of the one before")

    def __post_init__(self) -> None:
        if self.width < 1 or self.scales < 1:
            raise ValueError(f"width {self.width} and scales {self.scales} must be 1 or more")


@dataclass(frozen=True)
class MsPatchDiscriminatorConfig(MsPatchSettings, SemanticConfig):
    """Settings, and the channels of the semantic map."""


@dataclass(frozen=True)
class PatchSettings(DiscriminatorSettings):
    """The 70×70 PatchGAN of pix2pix (arXiv 1611.07004)."""

    kind: Literal["patch"] = field(default="patch", init=False)
    width: int = setting(64, "channels of the discriminator's first layer")


@dataclass(frozen=True)
class PatchDiscriminatorConfig(PatchSettings, SemanticConfig):
    """Settings, and the channels of the semantic map."""


class PatchLayers(nn.ModuleList):
    """Four conv4×4 layers, three of stride 2, then one to a score: each score sees 70×70 pixels.

    Args:
        layer: (fin, fout, stride=…) -> one of the three normalised layers in the middle.
    """

    def __init__(self, fin: int, width: int, padding: int, layer: Callable[..., nn.Module]) -> None:
        widths = [width, *(min(512, width * multiple) for multiple in (2, 4, 8))]
        first = nn.Sequential(nn.Conv2d(fin, width, 4, stride=2, padding=padding), nn.LeakyReLU(0.2))
        middle = [
            layer(*pair, stride=stride) for pair, stride in zip(pairwise(widths), (2, 2, 1), strict=True)
        ]
        super().__init__([first, *middle, nn.Conv2d(widths[-1], 1, 4, padding=padding)])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """x N×fin×H×W -> the score map and the outputs of the four layers before it."""
        features = []
        for layer in self:
            x = layer(x)
            features.append(x)
        return features.pop(), features


class MsPatchDiscriminator(Discriminator):
    """Copies of one network on ever smaller inputs; features are grouped by scale."""

    config: MsPatchDiscriminatorConfig

    def __init__(self, config: MsPatchDiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        layer = partial(ConvNormAct, kernel=4, norm=nn.InstanceNorm2d)
        self.scales = nn.ModuleList(
            PatchLayers(config.semantic_channels + 3, config.width, 2, layer) for _ in range(config.scales)
        )
        initialise(self)

    @property
    def feature_groups(self) -> int:
        return self.config.scales

    def forward(self, image: torch.Tensor, semantic: torch.Tensor) -> ScoresAndFeatures:
        """image N×3×H×W in [-1, 1], semantic N×S×H×W -> (a score map per scale, four features per scale)."""
        x = torch.cat([semantic, image], dim=1)
        scores, features = [], []
        for index, layers in enumerate(self.scales):
            if index:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            score, inner = layers(x)
            scores.append(score)
            features += inner
        return scores, features


class PatchDiscriminator(Discriminator):
    """One scale, batch norm, no spectral norm."""

    config: PatchDiscriminatorConfig

    def __init__(self, config: PatchDiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = PatchLayers(config.semantic_channels + 3, config.width, 1, _conv_batch_norm)
        initialise(self)

    @property
    def feature_groups(self) -> int:
        return 1

    def forward(self, image: torch.Tensor, semantic: torch.Tensor) -> ScoresAndFeatures:
        """image N×3×H×W in [-1, 1], semantic N×S×H×W -> (one score map, four features)."""
        score, features = self.layers(torch.cat([semantic, image], dim=1))
        return [score], features


def _conv_batch_norm(fin: int, fout: int, *, stride: int) -> nn.Module:
    conv = nn.Conv2d(fin, fout, 4, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(fout), nn.LeakyReLU(0.2))
