"""The CC-FPSE generator (Liu et al., NeurIPS 2019): style and layout in, image out."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse.models.blocks import CCBlock
from ccfpse.models.layers import NORMS, initialise, leaky_relu, upsample
from ccfpse.models.pyramid import LayoutPyramid

# Each block's (fin, fout) in multiples of the width; the standard generator runs its third block without
# upsampling.
BLOCKS = [(16, 16), (16, 16), (16, 16), (16, 8), (8, 4), (4, 2), (2, 1)]
LEVELS = {5: [0, 1, 1, 2, 3, 4, 5], 6: [0, 1, 2, 3, 4, 5, 6]}


@dataclass(frozen=True)
class GeneratorConfig:
    """Numbers that define a generator; the defaults are the paper's.

    classes: label classes; `unknown` adds a channel for ignored pixels, `instances` one for instance edges.
    size: (height, width) it is trained at; others are reached by the start-grid rule.
    width: channels of the last block ("nf").
    style_dim: length of the style vector, 0 for the deterministic start.
    upsamplings: 5 ("standard") or 6 ("deep").
    predictor_width, predictor_kernel: hidden channels of the predictors and the size of their second
        convolution.
    norm: "batch" (paper) or "batch_renorm", for batches of a few images.
    """

    classes: int
    unknown: bool = True
    instances: bool = False
    size: tuple[int, int] = (256, 256)
    width: int = 64
    style_dim: int = 256
    upsamplings: int = 5
    predictor_width: int = 128
    predictor_kernel: int = 3
    norm: str = "batch"

    def __post_init__(self) -> None:
        if self.classes < 1 or self.width < 1 or self.predictor_width < 1 or self.style_dim < 0:
            raise ValueError(
                f"classes {self.classes}, width {self.width}, predictor_width {self.predictor_width} must be "
                f"1 or more and style_dim {self.style_dim} 0 or more"
            )
        if self.upsamplings not in LEVELS:
            raise ValueError(f"upsamplings is {self.upsamplings}, expected 5 (standard) or 6 (deep)")
        if self.predictor_kernel not in (1, 3):
            raise ValueError(f"predictor_kernel is {self.predictor_kernel}, expected 1 or 3")
        if self.norm not in NORMS:
            raise ValueError(f"norm is {self.norm!r}, expected {' or '.join(NORMS)}")
        check_size(self.size, self.size_multiple)

    @property
    def semantic_channels(self) -> int:
        return self.classes + self.unknown + self.instances

    @property
    def size_multiple(self) -> int:
        return 2**self.upsamplings


def check_size(size: tuple[int, int], multiple: int) -> None:
    """Raises ValueError unless height and width are positive multiples of `multiple`,
    naming the nearest that are.
    """
    if any(side < 1 or side % multiple for side in size):
        nearest = "×".join(str(max(1, round(side / multiple)) * multiple) for side in size)
        raise ValueError(
            f"size {size[0]}×{size[1]} does not fit this generator: height and width must be multiples of "
            f"{multiple}; the nearest is {nearest}"
        )


class Generator(nn.Module):
    """Seven CC blocks between a start grid at 1/32 (deep: 1/64) of the size and the image,
    fed by the layout pyramid.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        width, channels = config.width, config.semantic_channels
        self.start: nn.Module
        if config.style_dim:
            h, w = (side // config.size_multiple for side in config.size)
            self.start = nn.Linear(config.style_dim, 16 * width * h * w)
        else:
            self.start = nn.Conv2d(channels, 16 * width, 3, padding=1)
        norm = NORMS[config.norm]
        self.pyramid = LayoutPyramid(channels, width, config.upsamplings + 1, norm)
        self.blocks = nn.ModuleList(
            CCBlock(
                fin * width,
                fout * width,
                channels + width,
                predictor_width=config.predictor_width,
                predictor_kernel=config.predictor_kernel,
                norm=norm,
            )
            for fin, fout in BLOCKS
        )
        self.to_image = nn.Conv2d(width, 3, 3, padding=1)
        initialise(self)

    def forward(self, semantic: torch.Tensor, z: torch.Tensor | None = None) -> torch.Tensor:
        """Draws the image of a semantic map.

        Args:
            semantic: N×S×H×W as made by `semantic_map`; H and W multiples of 32 (deep: 64).
            z: N×style_dim; None is the prior's mean. A generator without style takes None only.

        Returns:
            N×3×H×W in [-1, 1].

        Raises:
            ValueError: where a shape does not fit, saying what was expected.
        """
        self._check(semantic, z)
        layouts = self.layouts(semantic)
        x = self.start_grid(semantic, z)
        level = 0
        for block, next_level in zip(self.blocks, LEVELS[self.config.upsamplings], strict=True):
            if next_level > level:
                x = upsample(x)
            level = next_level
            x = block(x, layouts[level])
        return torch.tanh(self.to_image(leaky_relu(x)))

    def layouts(self, semantic: torch.Tensor) -> list[torch.Tensor]:
        """What the blocks read: semantic map and pyramid level, N×(S + width)×h×w,
        from 1/32 to the full resolution.
        """
        return [
            torch.cat([F.interpolate(semantic, features.shape[2:], mode="nearest"), features], dim=1)
            for features in self.pyramid(semantic)
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

    def _check(self, semantic: torch.Tensor, z: torch.Tensor | None) -> None:
        config = self.config
        if semantic.ndim != 4 or semantic.shape[1] != config.semantic_channels:
            raise ValueError(
                f"semantic map has shape {tuple(semantic.shape)}, expected N×{config.semantic_channels}×H×W "
                f"({config.classes} classes, unknown: {config.unknown}, instances: {config.instances})"
            )
        check_size((semantic.shape[2], semantic.shape[3]), config.size_multiple)
        if z is not None and tuple(z.shape) != (len(semantic), config.style_dim):
            expected = (
                f"({len(semantic)}, {config.style_dim})"
                if config.style_dim
                else "None: it has no style vector"
            )
            raise ValueError(f"z has shape {tuple(z.shape)}, but this generator takes {expected}")
