"""The feature-pyramid semantics-embedding discriminator (Liu et al. 2019, section 3.2)."""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.models.layers import ConvNormAct, initialise


@dataclass(frozen=True)
class FPSEDiscriminatorConfig:
    """semantic_channels: those of the semantic map; width: channels of the first layer ("nd")."""

    semantic_channels: int
    width: int = 64


class FPSEDiscriminator(nn.Module):
    """Scores at 1/4, 1/8 and 1/16 of the size: does it look real, and does it match the layout there?"""

    def __init__(self, config: FPSEDiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        widths = [3, width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.bottom_up = nn.ModuleList(
            ConvNormAct(fin, fout, 3, stride=2, norm=nn.InstanceNorm2d) for fin, fout in pairwise(widths)
        )
        self.laterals = nn.ModuleList(  # fine to coarse: f2 … f5
            ConvNormAct(fin, 4 * width, 1, norm=nn.InstanceNorm2d) for fin in widths[2:]
        )
        self.heads = nn.ModuleList(
            ConvNormAct(4 * width, 2 * width, 3, norm=nn.InstanceNorm2d) for _ in range(3)
        )
        self.real = nn.Conv2d(2 * width, 1, 1)
        self.semantic = nn.Conv2d(2 * width, 2 * width, 1)
        self.embedding = nn.Conv2d(config.semantic_channels, 2 * width, 1)
        initialise(self)

    def forward(
        self, image: torch.Tensor, semantic: torch.Tensor
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """image N×3×H×W in [-1, 1], semantic N×S×H×W -> (scores N×1×h×w at [1/4, 1/8, 1/16],
        features [f2 … f5]).
        """
        features = [image]
        for layer in self.bottom_up:
            features.append(layer(features[-1]))
        features = features[2:]
        top_down = [self.laterals[3](features[3])]
        for lateral, feature in zip(self.laterals[2::-1], features[2::-1], strict=True):
            coarser = F.interpolate(top_down[-1], feature.shape[2:], mode="bilinear", align_corners=False)
            top_down.append(coarser + lateral(feature))

        embedded = F.avg_pool2d(self.embedding(semantic), 2)
        scores = []
        for head, feature in zip(self.heads, reversed(top_down[1:]), strict=True):  # t2, t3, t4
            embedded = F.avg_pool2d(embedded, 2)
            g = head(feature)
            scores.append(self.real(g) + (embedded * self.semantic(g)).sum(dim=1, keepdim=True))
        return scores, features
