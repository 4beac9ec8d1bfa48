"""One-hot channels need no convolution: a pixel's output is the sum of nine rows of a table.

A 3×3 convolution of a one-hot map adds, for each of the nine neighbours, one column of its weight: the column
of the neighbour's class. The instance-edge channel is 0 or 1, so it doubles the table instead of asking for a
convolution: row (tap, class, edge). Beyond the image, and for pixels without any label, the row is zero.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ccfpse.inference.fold import Place


def semantic_codes(labels: torch.Tensor, edges: torch.Tensor | None, classes: int) -> torch.Tensor:
    """labels H×W in [0, classes] (`classes` = unlabelled), edges H×W bool or None -> H×W int32 codes."""
    codes = labels if edges is None else labels + (classes + 1) * edges
    return codes.int()


@dataclass(frozen=True)
class Codes:
    """The codes of one resolution, with a border of one pixel that means "beyond the image"."""

    bordered: torch.Tensor  # (h+2)×(w+2)

    @classmethod
    def at(cls, codes: torch.Tensor, size: tuple[int, int], beyond: int) -> "Codes":
        """The codes resized to `size` by nearest, as `F.interpolate` does for a whole factor."""
        factor = codes.shape[0] // size[0]
        return cls(F.pad(codes[::factor, ::factor], (1, 1, 1, 1), value=beyond))


@dataclass(frozen=True)
class LabelTable:
    """A 3×3 convolution of the semantic map, as (9 · codes)×out rows."""

    rows: torch.Tensor

    @classmethod
    def of(cls, weight: torch.Tensor, place: Place, *, classes: int, unknown: bool) -> "LabelTable":
        """From out×S×3×3 weights, S = classes, then unknown, then instance edges, where there are any."""
        by_tap = weight.detach().permute(2, 3, 1, 0).flatten(0, 1)  # 9×S×out
        labels = by_tap[:, : classes + unknown]
        if not unknown:
            labels = F.pad(labels, (0, 0, 0, 1))  # unlabelled pixels have no channel
        edge = by_tap[:, classes + unknown :]
        coded = torch.cat([labels, labels + edge], dim=1) if edge.shape[1] else labels
        return cls(place.matrix(F.pad(coded, (0, 0, 0, 1)).flatten(0, 1)))

    @property
    def beyond(self) -> int:
        """The code of pixels beyond the image; each tap has one row more than there are true codes."""
        return len(self.rows) // 9 - 1

    def __call__(self, codes: Codes, top: int, bottom: int) -> torch.Tensor:
        """The convolution's rows [top, bottom), within the image: 1×out×rows×w, channels_last."""
        height, width = bottom - top, codes.bordered.shape[1] - 2
        strip = codes.bordered[top : bottom + 2]
        taps = [strip[u : u + height, v : v + width] for u in range(3) for v in range(3)]
        first = torch.arange(9, dtype=torch.int32, device=strip.device) * (self.beyond + 1)
        indices = torch.stack(taps, dim=2).view(-1, 9) + first
        sums = F.embedding_bag(indices, self.rows, mode="sum")
        return sums.view(1, height, width, -1).permute(0, 3, 1, 2)
