"""What the generators of CC-FPSE and SPADE share: a start grid, and blocks that read the layout while the
image doubles in size. They differ in their blocks (Park et al., CVPR 2019; Liu et al., NeurIPS 2019).
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.models.interface import GeneratorSettings, ImageGenerator, LayoutConfig
from ccfpse.models.layers import NORMS, initialise, leaky_relu
from ccfpse.models.layout import Layout, one_hot_labels
from ccfpse.models.pyramid import LayoutPyramid
from ccfpse.settings import setting

# Each block's (fin, fout) in multiples of the width. "Standard" runs its third block without upsampling,
# "deepest" has one block more.
BLOCKS = [(16, 16), (16, 16), (16, 16), (16, 8), (8, 4), (4, 2), (2, 1), (1, 0.5)]
LEVELS = {5: [0, 1, 1, 2, 3, 4, 5], 6: [0, 1, 2, 3, 4, 5, 6], 7: [0, 1, 2, 3, 4, 5, 6, 7]}


@dataclass(frozen=True)
class CoarseToFineSettings(GeneratorSettings):
    """Numbers of a coarse-to-fine generator; the defaults are the papers'."""

    width: int = setting(64, "channels of the last block at full size (nf)")
    style_dim: int = setting(256, "length of the style vector; 0: no style, no encoder")
    upsamplings: int = setting(5, "5 (standard), 6 (deep) or 7 (deepest)")
    predictor_width: int = setting(128, "hidden channels of what predicts kernels, gates and modulations")
    predictor_kernel: int = setting(
        3, "size of the predictors' second convolution: 3 (paper) or 1 (small, fast)"
    )
    norm: Literal["batch", "batch_renorm"] = setting(
        "batch", "batch normalisation: batch (paper), or batch_renorm for batches of a few images"
    )
    layout_pyramid: bool = setting(True, "blocks read the layout pyramid's features beside the semantic map")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 1 or self.predictor_width < 1 or self.style_dim < 0:
            raise ValueError(
                f"width {self.width} and predictor_width {self.predictor_width} must be 1 or more and "
                f"style_dim {self.style_dim} 0 or more"
            )
        if self.upsamplings not in LEVELS:
            raise ValueError(
                f"upsamplings is {self.upsamplings}, expected 5 (standard), 6 (deep) or 7 (deepest)"
            )
        if self.upsamplings == 7 and self.width % 2:
            raise ValueError(
                f"width is {self.width}, but the last block of 7 upsamplings halves it: make it even"
            )
        if self.predictor_kernel not in (1, 3):
            raise ValueError(f"predictor_kernel is {self.predictor_kernel}, expected 1 or 3")
        if self.norm not in NORMS:
            raise ValueError(f"norm is {self.norm!r}, expected {' or '.join(NORMS)}")

    @property
    def size_multiple(self) -> int:
        return 2**self.upsamplings


@dataclass(frozen=True)
class CoarseToFineConfig(CoarseToFineSettings, LayoutConfig):
    """Settings, and what the data decides. `size` is where the start grid is trained; others are reached by
    resizing it.
    """


class CoarseToFineGenerator(ImageGenerator):
    """Seven or eight blocks between a start grid at 1/2^upsamplings of the size and the image."""

    config: CoarseToFineConfig

    def __init__(self, config: CoarseToFineConfig) -> None:
        super().__init__()
        self.config = config
        width, channels = config.width, config.semantic_channels
        self.start: nn.Module
        if config.style_dim:
            h, w = (side // config.size_multiple for side in config.size)
            self.start = nn.Linear(config.style_dim, 16 * width * h * w)
        else:
            self.start = nn.Conv2d(channels, 16 * width, 3, padding=1)
        self.pyramid = (
            LayoutPyramid(channels, width, config.upsamplings + 1, NORMS[config.norm])
            if config.layout_pyramid
            else None
        )
        layout_channels = channels + width * config.layout_pyramid
        widths = BLOCKS[: len(self.levels)]
        self.blocks = nn.ModuleList(
            self.block(int(fin * width), int(fout * width), layout_channels) for fin, fout in widths
        )
        self.to_image = nn.Conv2d(int(widths[-1][1] * width), 3, 3, padding=1)
        initialise(self)

    def block(self, fin: int, fout: int, layout_channels: int) -> nn.Module:
        """The system's block: (x N×fin×h×w or half as large, `Layout` of h×w) -> N×fout×h×w."""
        raise NotImplementedError

    def forward(self, semantic: torch.Tensor, z: torch.Tensor | None = None) -> torch.Tensor:
        """Draws the image of a semantic map.

        Args:
            semantic: N×S×H×W as made by `semantic_map`; H and W multiples of 2^upsamplings.
            z: N×style_dim; None is the prior's mean. A generator without style takes None only.

        Returns:
            N×3×H×W in [-1, 1].

        Raises:
            ValueError: where a shape does not fit, saying what was expected.
        """
        self.check(semantic, z)
        layouts = self.layouts(semantic)
        x = self.start_grid(semantic, z)
        for block, level in zip(self.blocks, self.levels, strict=True):
            x = block(x, layouts[level])
        return torch.tanh(self.to_image(leaky_relu(x)))

    @property
    def levels(self) -> list[int]:
        """The level of the pyramid that each block works at; 0 is the coarsest."""
        return LEVELS[self.config.upsamplings]

    def layouts(self, semantic: torch.Tensor) -> list[Layout]:
        """What the blocks read at each level, from 1/2^upsamplings to the full resolution."""
        height, width = semantic.shape[2:]
        scales = [2**level for level in reversed(range(self.config.upsamplings + 1))]
        features = [None] * len(scales) if self.pyramid is None else self.pyramid(semantic)
        channels = self.config.label_channels
        labels = one_hot_labels(semantic, channels)
        return [
            Layout(semantic, (height // scale, width // scale), feature, labels, channels)
            for scale, feature in zip(scales, features, strict=True)
        ]

    def start_grid(self, semantic: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        """N×16·width×h₀×w₀; a style's grid is resized bilinearly when the size is not the trained one."""
        multiple = self.config.size_multiple
        n, _, height, width = semantic.shape
        grid = (height // multiple, width // multiple)
        if not self.config.style_dim:
            return self.start(F.interpolate(semantic, grid, mode="nearest"))
        if z is None:
            z = semantic.new_zeros(n, self.config.style_dim)
        trained = (self.config.size[0] // multiple, self.config.size[1] // multiple)
        x = self.start(z).view(len(z), -1, *trained)
        return x if grid == trained else F.interpolate(x, grid, mode="bilinear", align_corners=False)
