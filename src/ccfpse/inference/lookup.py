"""A layout's labels as codes, and the tables that they are looked up in (see `ops.label_conv`)."""

from dataclasses import dataclass

import torch

from ccfpse import ops
from ccfpse.inference.fold import Place


@dataclass(frozen=True)
class Codes:
    """The codes of one resolution, with a border of one pixel that means "beyond the image"."""

    bordered: torch.Tensor  # 1×(h+2)×(w+2)

    @classmethod
    def at(
        cls, labels: torch.Tensor, edges: torch.Tensor | None, size: tuple[int, int], channels: int
    ) -> "Codes":
        """From labels H×W in [0, channels] (`channels` = none) and edges H×W bool, resized to `size` by
        nearest, as `F.interpolate` does for a whole factor.
        """
        step = labels.shape[0] // size[0]
        small = None if edges is None else edges[None, ::step, ::step]
        return cls(ops.label_codes(labels[None, ::step, ::step], small, channels))


@dataclass(frozen=True)
class LabelTable:
    """A 3×3 convolution of the semantic map, as (9 · codes)×out rows."""

    rows: torch.Tensor

    @classmethod
    def of(cls, weight: torch.Tensor, place: Place, *, channels: int) -> "LabelTable":
        """From out×S×3×3 weights: S is `channels` label channels, and one more where there are edges."""
        return cls(place.matrix(ops.label_rows(weight.detach(), channels)))

    def __call__(self, codes: Codes, top: int, bottom: int) -> torch.Tensor:
        """The convolution's rows [top, bottom), within the image: 1×out×rows×w, channels_last."""
        return ops.look_up(self.rows, codes.bordered[:, top : bottom + 2])
