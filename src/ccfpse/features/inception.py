"""The FID Inception of 2015-12-05: the network whose 2048 pool features FID and KID are defined on.

Key names are torchvision's and pytorch-fid's. It differs from torchvision's InceptionV3: the average pools do
not count padding, and Mixed_7c pools by maximum.
"""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ccfpse.features.weights import find_weights
from ccfpse.tensor_files import read_tensors

Kernel = int | tuple[int, int]
Layer = tuple[str, int, Kernel]  # name, width, kernel
Chain = tuple[
    Layer | tuple[Layer, Layer], ...
]  # a pair of layers is a fork: both read the same, outputs concatenated


class ConvNorm(nn.Module):
    """Convolution, batch norm (eps 1e-3), ReLU."""

    def __init__(
        self, channels: int, width: int, kernel: Kernel, stride: int = 1, padded: bool = True
    ) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if padded else 0
        self.conv = nn.Conv2d(channels, width, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Mixed(nn.Module):
    """Parallel chains of ConvNorms and one pooled branch, concatenated.

    `pool` "reduce": every chain ends with stride 2 and no padding, beside a plain 3×3 stride-2 maximum;
    "average" and "max": a 3×3 stride-1 pool, then a 1×1 ConvNorm of `pool_width`.
    """

    def __init__(
        self,
        channels: int,
        pool: Literal["average", "max", "reduce"],
        chains: tuple[Chain, ...],
        pool_width: int = 0,
    ) -> None:
        super().__init__()
        self.pool, self.chains = pool, chains
        for chain in chains:
            width_in = channels
            for position, step in enumerate(chain):
                fork: tuple[Layer, ...] = (step,) if isinstance(step[0], str) else step
                reduces = pool == "reduce" and position == len(chain) - 1
                for name, width, kernel in fork:
                    layer = ConvNorm(width_in, width, kernel, stride=2 if reduces else 1, padded=not reduces)
                    self.add_module(name, layer)
                width_in = sum(width for _, width, _ in fork)
        if pool != "reduce":
            self.branch_pool = ConvNorm(channels, pool_width, 1)

    def forward(self, x: Tensor) -> Tensor:
        branches = [self._chain(x, chain) for chain in self.chains]
        if self.pool == "reduce":
            branches.append(F.max_pool2d(x, 3, stride=2))
        elif self.pool == "max":
            branches.append(self.branch_pool(F.max_pool2d(x, 3, stride=1, padding=1)))
        else:
            pooled = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
            branches.append(self.branch_pool(pooled))
        return torch.cat(branches, 1)

    def _chain(self, x: Tensor, chain: Chain) -> Tensor:
        for step in chain:
            if isinstance(step[0], str):
                x = self.get_submodule(step[0])(x)
            else:
                x = torch.cat([self.get_submodule(layer[0])(x) for layer in step], 1)
        return x


def _mixed5(channels: int, pool_width: int) -> Mixed:
    return Mixed(
        channels,
        "average",
        (
            (("branch1x1", 64, 1),),
            (("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)),
            (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
        ),
        pool_width,
    )


def _mixed6(width: int) -> Mixed:
    return Mixed(
        768,
        "average",
        (
            (("branch1x1", 192, 1),),
            (("branch7x7_1", width, 1), ("branch7x7_2", width, (1, 7)), ("branch7x7_3", 192, (7, 1))),
            (
                ("branch7x7dbl_1", width, 1),
                ("branch7x7dbl_2", width, (7, 1)),
                ("branch7x7dbl_3", width, (1, 7)),
                ("branch7x7dbl_4", width, (7, 1)),
                ("branch7x7dbl_5", 192, (1, 7)),
            ),
        ),
        192,
    )


def _mixed7(channels: int, pool: Literal["average", "max"]) -> Mixed:
    return Mixed(
        channels,
        pool,
        (
            (("branch1x1", 320, 1),),
            (("branch3x3_1", 384, 1), (("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1)))),
            (
                ("branch3x3dbl_1", 448, 1),
                ("branch3x3dbl_2", 384, 3),
                (("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))),
            ),
        ),
        192,
    )


class FidInception(nn.Module):
    """Maps N×3×H×W float RGB in [0, 1] to N×2048 pool features; frozen, in eval mode."""

    dimension = 2048

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, stride=2, padded=False)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3, padded=False)
        self.Mixed_5b = _mixed5(192, 32)
        self.Mixed_5c = _mixed5(256, 64)
        self.Mixed_5d = _mixed5(288, 64)
        self.Mixed_6a = Mixed(
            288,
            "reduce",
            (
                (("branch3x3", 384, 3),),
                (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
            ),
        )
        self.Mixed_6b = _mixed6(128)
        self.Mixed_6c = _mixed6(160)
        self.Mixed_6d = _mixed6(160)
        self.Mixed_6e = _mixed6(192)
        self.Mixed_7a = Mixed(
            768,
            "reduce",
            (
                (("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3)),
                (
                    ("branch7x7x3_1", 192, 1),
                    ("branch7x7x3_2", 192, (1, 7)),
                    ("branch7x7x3_3", 192, (7, 1)),
                    ("branch7x7x3_4", 192, 3),
                ),
            ),
        )
        self.Mixed_7b = _mixed7(1280, "average")
        self.Mixed_7c = _mixed7(2048, "max")
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        x = F.interpolate(image, size=(299, 299), mode="bilinear", align_corners=False)
        x = 2 * x - 1
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean((2, 3))


def load_inception(path: str | Path | None = None) -> FidInception:
    """The FID Inception with its published weights, float32; found as `features.find_weights` says."""
    file = find_weights("inception", path)
    tensors = {key: value for key, value in read_tensors(file).items() if not key.startswith("fc.")}
    network = FidInception()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{file}: not the FID Inception's weights; {str(error)[:300]}") from None
    return network
