"""LPIPS v0.1 with AlexNet (Zhang et al., CVPR 2018, arXiv 1801.03924): perceptual distance of two images."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor, nn

from ccfpse.features import load_alexnet, load_lpips_heads


class Lpips(nn.Module):
    """Distance between images N×3×H×W float in [-1, 1], at their own size.

    `network` maps images to a list of feature maps N×C×h×w; `heads` holds one weight vector 1×C×1×1 for each.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, heads: Sequence[Tensor]) -> None:
        super().__init__()
        self.network = network
        self.heads = nn.ParameterList(nn.Parameter(head, requires_grad=False) for head in heads)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    def features(self, image: Tensor) -> list[Tensor]:
        """Feature maps of unit length at every pixel; computed once per image, compared with `between`."""
        maps = self.network((image - self.shift) / self.scale)
        return [x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in maps]

    def between(self, first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
        """N distances of what `features` returned."""
        layers = zip(first, second, self.heads, strict=True)
        terms = [((a - b).square() * head).sum(1).mean((1, 2)) for a, b, head in layers]
        return torch.stack(terms).sum(0)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.between(self.features(first), self.features(second))

    def diversity(self, features: Sequence[Tensor]) -> float:
        """Mean distance over all pairs of the N images whose `features` these are; N ≥ 2."""
        pairs = torch.tensor(list(combinations(range(len(features[0])), 2)))
        first, second = ([x[index] for x in features] for index in pairs.T)
        return float(self.between(first, second).mean())


def load_lpips(weights: str | Path | None = None) -> Lpips:
    """LPIPS with its published weights; `weights` is a folder or a file holding AlexNet and the heads."""
    return Lpips(load_alexnet(weights), load_lpips_heads(weights))
