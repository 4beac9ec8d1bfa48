"""What a block's predictors make of a layout, strip by strip: kernels, gates and modulations.

A strip is predicted from the codes and the pyramid's features alone, so it serves every style; it is either
kept with the layout or predicted when it is needed, applied to all styles, and dropped.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ccfpse.inference.fold import Convolution, Place
from ccfpse.inference.lookup import Codes, LabelTable
from ccfpse.models import LayoutConfig
from ccfpse.models.layers import BranchedConv2d

# The largest map of one strip: in the last-level cache between prediction and use, yet enough rows that the
# rows of the hidden map that two strips share do not matter. GPUs have larger caches and need more work per
# launch.
STRIP_BYTES = {"cpu": 16 << 20, "cuda": 32 << 20}
LEAST_ROWS = 4


@dataclass(frozen=True)
class Level:
    """A layout at one resolution, as predictors read it."""

    codes: Codes
    features: torch.Tensor | None  # 1×F×h×w, the pyramid's, where there is one

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.codes.bordered.shape[1:]
        return height - 2, width - 2

    def tensors(self) -> list[torch.Tensor]:
        return [self.codes.bordered] + ([] if self.features is None else [self.features])


@dataclass(frozen=True)
class Strip:
    """Rows [top, bottom) of the maps of one predictor by name, each 1×C×rows×w, for one layout."""

    top: int
    bottom: int
    maps: Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Head:
    """A predictor's second convolution, which makes one map of one branch of the first."""

    name: str
    branch: int
    convolution: Convolution
    sigmoid: bool = False

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """A strip of the hidden map with its margin -> the strip of the map."""
        values = self.convolution.rows(hidden)
        return values.sigmoid_() if self.sigmoid else values


@dataclass(frozen=True)
class Predictor:
    """Maps that are used together, row by row: conv3×3 · ReLU · conv for each, the first ones in one."""

    table: LabelTable  # the first convolutions' part of the semantic map …
    features: Convolution  # … and of the pyramid's features; without a pyramid its bias is all there is
    heads: tuple[Head, ...]

    @classmethod
    def of(
        cls, hidden: BranchedConv2d, heads: Sequence[Head], place: Place, layout: LayoutConfig
    ) -> "Predictor":
        """From a block's first convolution, whose input begins with the semantic map."""
        weights, biases = (tensor.chunk(hidden.branches) for tensor in hidden.parameters())
        weight = torch.cat([weights[head.branch] for head in heads])
        bias = torch.cat([biases[head.branch] for head in heads])
        semantic, features = weight.tensor_split([layout.semantic_channels], dim=1)
        return cls(
            LabelTable.of(semantic, place, channels=layout.label_channels),
            place.convolution(features, bias),
            tuple(heads),
        )

    def nbytes(self, size: tuple[int, int]) -> int:
        """What all strips of a layout of h×w take."""
        return sum(len(head.convolution.weight) for head in self.heads) * size[0] * self._row_bytes(size)

    def strips(self, level: Level) -> Iterator[Strip]:
        """Predicts them from top to bottom."""
        height, _ = level.size
        wanted = STRIP_BYTES["cpu" if self.table.rows.device.type == "cpu" else "cuda"]
        largest = max(len(head.convolution.weight) for head in self.heads)
        rows = max(LEAST_ROWS, wanted // (largest * self._row_bytes(level.size)))
        for top in range(0, height, rows):
            yield self._predict(level, top, min(top + rows, height))

    def _row_bytes(self, size: tuple[int, int]) -> int:
        """Of one channel."""
        return size[1] * self.table.rows.element_size()

    def _predict(self, level: Level, top: int, bottom: int) -> Strip:
        margin = self.heads[0].convolution.margin
        first, last = max(top - margin, 0), min(bottom + margin, level.size[0])
        hidden = self.table(level.codes, first, last)
        if level.features is None:
            assert self.features.bias is not None
            hidden.add_(self.features.bias.view(1, -1, 1, 1))
        else:
            hidden.add_(self.features.rows(padded_rows(level.features, first - 1, last + 1)))
        # Beyond the image the hidden map is zero, whatever the layout's own border would give.
        hidden = F.pad(F.relu_(hidden), (0, 0, first - (top - margin), bottom + margin - last))
        shares = hidden.chunk(len(self.heads), dim=1)
        maps = {head.name: head(share) for head, share in zip(self.heads, shares, strict=True)}
        return Strip(top, bottom, maps)


def padded_rows(x: torch.Tensor, top: int, bottom: int) -> torch.Tensor:
    """Rows [top, bottom) of N×C×H×W, zero where they lie beyond the image."""
    inside = x[:, :, max(top, 0) : min(bottom, x.shape[2])]
    above, below = max(-top, 0), max(bottom - x.shape[2], 0)
    return F.pad(inside, (0, 0, above, below)) if above or below else inside
