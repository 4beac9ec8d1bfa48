"""The SPADE generator (Park et al., CVPR 2019, arXiv 1903.07291): the layout modulates the activations."""

from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from ccfpse.models.blocks import SpadeBlock
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
