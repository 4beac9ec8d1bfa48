"""What a CC block's predictors make of a layout, strip by strip: kernels, gates and SPADE maps.

A strip is predicted from the codes and the pyramid level alone, so it serves every style; it is either kept
with the layout or predicted when it is needed, applied to all styles, and dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ccfpse.inference.fold import Convolution
from ccfpse.inference.lookup import Codes, LabelTable

# Kernels of one strip: in the last-level cache between prediction and use, yet enough rows that the rows of
# the hidden map that two strips share do not matter. GPUs have larger caches and need more work per launch.
STRIP_BYTES = {"cpu": 16 << 20, "cuda": 32 << 20}
LEAST_ROWS = 4


@dataclass(frozen=True)
class Strip:
    """Rows [top, bottom) of everything predicted for one conditional convolution, for one layout."""

    top: int
    bottom: int
    kernels: torch.Tensor  # 1×9C×rows×w, tap-major: channel 9-tap·C + c
    gate: torch.Tensor | None  # 1×out×rows×w
    modulation: tuple[torch.Tensor, torch.Tensor] | None  # SPADE's scale and shift, 1×fin×rows×w

    def tensors(self) -> tuple[torch.Tensor, ...]:
        gate = () if self.gate is None else (self.gate,)
        return (self.kernels, *gate, *(self.modulation or ()))


@dataclass(frozen=True)
class Stage:
    """Norm, conditional convolution, 1×1 mixing and gate: half a CC block."""

    scale: torch.Tensor  # the norm before the conditional convolution
    shift: torch.Tensor
    mix: Convolution
    table: LabelTable  # the predictors' first convolutions, as one: the part of the semantic map …
    features: Convolution  # … and that of the pyramid level
    kernels: Convolution
    gate: Convolution | None
    modulation: Convolution | None

    @property
    def channels(self) -> int:
        """Of everything predicted, per pixel."""
        heads = (self.kernels, self.gate, self.modulation)
        return sum(len(head.weight) for head in heads if head is not None)

    def strips(self, features: torch.Tensor, codes: Codes) -> Iterator[Strip]:
        """Predicts from the pyramid level 1×F×h×w and the codes at its size, from top to bottom."""
        height, width = features.shape[2:]
        row_bytes = len(self.kernels.weight) * width * features.element_size()
        wanted = STRIP_BYTES["cpu" if features.device.type == "cpu" else "cuda"]
        rows = max(LEAST_ROWS, wanted // row_bytes)
        for top in range(0, height, rows):
            yield self._predict(features, codes, top, min(top + rows, height))

    def _predict(self, features: torch.Tensor, codes: Codes, top: int, bottom: int) -> Strip:
        margin = self.kernels.margin
        first, last = max(top - margin, 0), min(bottom + margin, features.shape[2])
        hidden = self.features.rows(padded_rows(features, first - 1, last + 1))
        hidden = F.relu_(hidden.add_(self.table(codes, first, last)))
        # Beyond the image the hidden map is zero, whatever the layout's own border would give.
        hidden = F.pad(hidden, (0, 0, first - (top - margin), bottom + margin - last))
        shares = hidden.split(self.kernels.weight.shape[1], dim=1)
        gate = None if self.gate is None else self.gate.rows(shares[1]).sigmoid_()
        modulation = None
        if self.modulation is not None:
            scale, shift = self.modulation.rows(shares[-1]).chunk(2, dim=1)
            modulation = (scale, shift)
        return Strip(top, bottom, self.kernels.rows(shares[0]), gate, modulation)


def padded_rows(x: torch.Tensor, top: int, bottom: int) -> torch.Tensor:
    """Rows [top, bottom) of N×C×H×W, zero where they lie beyond the image."""
    inside = x[:, :, max(top, 0) : min(bottom, x.shape[2])]
    above, below = max(-top, 0), max(bottom - x.shape[2], 0)
    return F.pad(inside, (0, 0, above, below)) if above or below else inside
