"""The SPADE generator (Park et al., CVPR 2019, arXiv 1903.07291): the layout modulates the activations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import nn

from ccfpse.models.blocks import Modulation, SpadeBlock
from ccfpse.models.coarse_to_fine import CoarseToFineConfig, CoarseToFineGenerator, CoarseToFineSettings
from ccfpse.models.layers import NORMS
from ccfpse.settings import setting


@dataclass(frozen=True)
class SpadeSettings(CoarseToFineSettings):
    """The SPADE generator; with the layout pyramid, an ablation of CC-FPSE."""

    kind: Literal["spade"] = field(default="spade", init=False)
    layout_pyramid: bool = setting(False, "blocks read the layout pyramid's features beside the semantic map")


@dataclass(frozen=True)
class SpadeConfig(SpadeSettings, CoarseToFineConfig):
    """Numbers that define a SPADE generator; the defaults are the paper's."""


@dataclass(frozen=True)
class PreparedLayout:
    """All that a SPADE generator computes from a layout alone: each block's γ and β, and the semantic map."""

    semantic: torch.Tensor
    modulations: Sequence[Sequence[Modulation]]


class SpadeGenerator(CoarseToFineGenerator):
    """SPADE blocks, fed by the semantic map alone."""

    config: SpadeConfig

    def block(self, fin: int, fout: int, layout_channels: int) -> nn.Module:
        return SpadeBlock(
            fin,
            fout,
            layout_channels,
            predictor_width=self.config.predictor_width,
            predictor_kernel=self.config.predictor_kernel,
            norm=NORMS[self.config.norm],
        )

    def prepare(self, semantic: torch.Tensor) -> PreparedLayout:
        """The work that the styles of a layout share; semantic N×S×H×W, N is 1 or the styles' number."""
        self.check(semantic, None)
        layouts = self.layouts(semantic)
        placed = zip(self._blocks(), self.levels, strict=True)
        return PreparedLayout(semantic, [block.prepare(layouts[level]) for block, level in placed])

    def paint(self, prepared: PreparedLayout, z: torch.Tensor | None = None) -> torch.Tensor:
        """`forward` of the prepared layout in the styles z, N×style_dim -> N×3×H×W."""
        pairs = zip(self._blocks(), prepared.modulations, strict=True)
        blocks = (partial(block.paint, maps=maps) for block, maps in pairs)
        return self.through(blocks, self.start_grid(prepared.semantic, z))

    def _blocks(self) -> list[SpadeBlock]:
        return [block for block in self.blocks if isinstance(block, SpadeBlock)]
