"""The CC-FPSE generator (Liu et al., NeurIPS 2019): style and layout in, image out."""

from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from ccfpse.models.blocks import CCBlock
from ccfpse.models.coarse_to_fine import CoarseToFineConfig, CoarseToFineGenerator, CoarseToFineSettings
from ccfpse.models.layers import NORMS
from ccfpse.settings import setting


@dataclass(frozen=True)
class CCSettings(CoarseToFineSettings):
    """The CC-FPSE generator; without gates or layout pyramid, its ablations."""

    kind: Literal["cc"] = field(default="cc", init=False)
    gates: bool = setting(True, "predicted gates after the conditional convolutions")


@dataclass(frozen=True)
class GeneratorConfig(CCSettings, CoarseToFineConfig):
    """Numbers that define a CC-FPSE generator; the defaults are the paper's."""


class Generator(CoarseToFineGenerator):
    """CC blocks, fed by the layout pyramid."""

    config: GeneratorConfig

    def block(self, fin: int, fout: int, layout_channels: int) -> nn.Module:
        return CCBlock(
            fin,
            fout,
            layout_channels,
            predictor_width=self.config.predictor_width,
            predictor_kernel=self.config.predictor_kernel,
            norm=NORMS[self.config.norm],
            gates=self.config.gates,
        )
