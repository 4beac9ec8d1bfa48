"""The layout pyramid, the paper's weight prediction network: the semantic map's features at every scale."""

import torch
from torch import nn

from ccfpse.models.layers import ConvNormAct, upsample


class LayoutPyramid(nn.Module):
    """Encoder e₁…e_levels (halving), then a decoder with 1×1 laterals;
    level i has 1/2^(levels-1-i) of the resolution.
    """

    def __init__(
        self,
        semantic_channels: int,
        width: int,
        levels: int,
        norm: type[nn.BatchNorm2d] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(
            ConvNormAct(width if level else semantic_channels, width, 3, stride=2 if level else 1, norm=norm)
            for level in range(levels)
        )
        self.laterals = nn.ModuleList(
            ConvNormAct(width, width, 1, norm=norm) for _ in range(levels - 1)
        )  # coarsest first
        self.decoder = nn.ModuleList(ConvNormAct(width, width, 3, norm=norm) for _ in range(levels - 1))

    def forward(self, semantic: torch.Tensor) -> list[torch.Tensor]:
        """semantic N×S×H×W -> `levels` maps N×width×h×w, from the coarsest to the full resolution."""
        encoded = [semantic]
        for encode in self.encoder:
            encoded.append(encode(encoded[-1]))
        levels = [encoded.pop()]
        for lateral, decode in zip(self.laterals, self.decoder, strict=True):
            levels.append(decode(upsample(levels[-1]) + lateral(encoded.pop())))
        return levels
