"""The feature-pyramid discriminators: with semantics embedding (Liu et al. 2019, section 3.2), and the plain
one of its ablation.
"""

from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.models.interface import Discriminator, DiscriminatorSettings, ScoresAndFeatures, SemanticConfig
from ccfpse.models.layers import IMAGE_NORMS, ConvNormAct, initialise
from ccfpse.settings import setting

NORM_MEANING = (
    "of the discriminator's layers: instance (paper); layer or none: it then sees brightness and contrast; "
    "with none the features are smaller, and feature matching wants a larger weight"
)


def _check_width(width: int) -> None:
    if width < 1:
        raise ValueError(f"discriminator.width is {width}, expected 1 or more")


@dataclass(frozen=True)
class FPSESettings(DiscriminatorSettings):
    """The feature-pyramid semantics-embedding discriminator."""

    kind: Literal["fpse"] = field(default="fpse", init=False)
    width: int = setting(64, "channels of the discriminator's first layer")
    norm: Literal["instance", "layer", "none"] = setting("instance", NORM_MEANING)

    def __post_init__(self) -> None:
        _check_width(self.width)


@dataclass(frozen=True)
class FPSEDiscriminatorConfig(FPSESettings, SemanticConfig):
    """Settings, and the channels of the semantic map."""


@dataclass(frozen=True)
class FPSettings(DiscriminatorSettings):
    """The feature-pyramid discriminator without semantics embedding: it reads semantic map and image."""

    kind: Literal["fp"] = field(default="fp", init=False)
    width: int = setting(64, "channels of the discriminator's first layer")
    norm: Literal["instance", "layer", "none"] = setting("instance", NORM_MEANING)

    def __post_init__(self) -> None:
        _check_width(self.width)


@dataclass(frozen=True)
class FPDiscriminatorConfig(FPSettings, SemanticConfig):
    """Settings, and the channels of the semantic map."""


class FeaturePyramid(Discriminator):
    """What both share: five layers bottom-up, laterals and heads top-down, one score r for all scales."""

    def __init__(self, in_channels: int, width: int, norm: str) -> None:
        super().__init__()
        layer = partial(ConvNormAct, norm=IMAGE_NORMS[norm])
        widths = [in_channels, width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.bottom_up = nn.ModuleList(layer(fin, fout, 3, stride=2) for fin, fout in pairwise(widths))
        self.laterals = nn.ModuleList(  # fine to coarse: f2 … f5
            layer(fin, 4 * width, 1) for fin in widths[2:]
        )
        self.heads = nn.ModuleList(layer(4 * width, 2 * width, 3) for _ in range(3))
        self.real = nn.Conv2d(2 * width, 1, 1)

    @property
    def feature_groups(self) -> int:
        return len(self.laterals)

    def pyramid(self, x: torch.Tensor) -> ScoresAndFeatures:
        """x N×in_channels×H×W -> (the heads' g, N×2·width×h×w at [1/4, 1/8, 1/16], features [f2 … f5])."""
        features = [x]
        for layer in self.bottom_up:
            features.append(layer(features[-1]))
        features = features[2:]
        top_down = [self.laterals[3](features[3])]
        for lateral, feature in zip(self.laterals[2::-1], features[2::-1], strict=True):
            coarser = F.interpolate(top_down[-1], feature.shape[2:], mode="bilinear", align_corners=False)
            top_down.append(coarser + lateral(feature))
        read = [head(t) for head, t in zip(self.heads, reversed(top_down[1:]), strict=True)]  # t2, t3, t4
        return read, features


class FPSEDiscriminator(FeaturePyramid):
    """Scores at 1/4, 1/8 and 1/16 of the size: does it look real, and does it match the layout there?"""

    config: FPSEDiscriminatorConfig

    def __init__(self, config: FPSEDiscriminatorConfig) -> None:
        super().__init__(3, config.width, config.norm)
        self.config = config
        self.semantic = nn.Conv2d(2 * config.width, 2 * config.width, 1)
        self.embedding = nn.Conv2d(config.semantic_channels, 2 * config.width, 1)
        initialise(self)

    def forward(self, image: torch.Tensor, semantic: torch.Tensor) -> ScoresAndFeatures:
        """image N×3×H×W in [-1, 1], semantic N×S×H×W -> (scores N×1×h×w at [1/4, 1/8, 1/16],
        features [f2 … f5]).
        """
        read, features = self.pyramid(image)
        # The embedding is 1×1, so it may follow the pooling: at 1/4 of the size it costs a sixteenth.
        embedded = self.embedding(F.avg_pool2d(semantic, 4))
        scores = []
        for g in read:
            scores.append(self.real(g) + (embedded * self.semantic(g)).sum(dim=1, keepdim=True))
            embedded = F.avg_pool2d(embedded, 2)
        return scores, features


class FPDiscriminator(FeaturePyramid):
    """Scores at 1/4, 1/8 and 1/16 of the size, of semantic map and image together."""

    config: FPDiscriminatorConfig

    def __init__(self, config: FPDiscriminatorConfig) -> None:
        super().__init__(config.semantic_channels + 3, config.width, config.norm)
        self.config = config
        initialise(self)

    def forward(self, image: torch.Tensor, semantic: torch.Tensor) -> ScoresAndFeatures:
        """Shapes as in `FPSEDiscriminator`."""
        read, features = self.pyramid(torch.cat([semantic, image], dim=1))
        return [self.real(g) for g in read], features
