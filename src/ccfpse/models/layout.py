"""What the blocks of a generator read at one resolution, and the first convolution that reads it."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ccfpse import ops
from ccfpse.models.layers import BranchedConv2d, upsample, without_autocast


@dataclass(frozen=True)
class Layout:
    """The semantic map at one resolution, and the layout pyramid's features there.

    semantic: N×S×H×W, at the full resolution.
    size: (h, w) of this one, H and W divided by a whole number.
    features: N×F×h×w, or None without a pyramid.
    labels: N×H×W by `one_hot_labels`, or None where the semantic map has to be convolved.
    channels: label channels of the semantic map, which may have one more for instance edges.
    """

    semantic: torch.Tensor
    size: tuple[int, int]
    features: torch.Tensor | None
    labels: torch.Tensor | None
    channels: int

    def dense(self) -> torch.Tensor:
        """N×(S + F)×h×w: the semantic map resized by nearest, then the features."""
        semantic = F.interpolate(self.semantic, self.size, mode="nearest")
        return semantic if self.features is None else torch.cat([semantic, self.features], dim=1)

    def codes(self) -> torch.Tensor | None:
        """What `ops.label_conv` reads: N×(h+2)×(w+2)."""
        if self.labels is None:
            return None
        step = self.labels.shape[1] // self.size[0]
        edges = self.semantic[:, -1, ::step, ::step] != 0
        has_edges = self.semantic.shape[1] > self.channels
        return ops.label_codes(self.labels[:, ::step, ::step], edges if has_edges else None, self.channels)

    def fit(self, x: torch.Tensor) -> torch.Tensor:
        """x, doubled in size where it is half as large as the layout."""
        return x if tuple(x.shape[2:]) == self.size else upsample(x)


class LayoutConv2d(BranchedConv2d):
    """Several 3×3 convolutions of a layout, as one.

    A COCO layout has 184 channels of which one or two are not zero: on a CPU they are looked up.
    """

    def __init__(self, layout_channels: int, out_channels: int, *, branches: int) -> None:
        super().__init__(layout_channels, out_channels, 3, branches=branches)

    def forward(self, layout: Layout) -> torch.Tensor:  # type: ignore[override]
        """-> N×(branches·out_channels)×h×w."""
        codes = layout.codes()
        if codes is None:
            return super().forward(layout.dense())
        assert self.bias is not None
        with without_autocast(codes.device):
            features = None if layout.features is None else layout.features.to(self.weight.dtype)
            return ops.label_conv(codes, features, self.weight, self.bias, layout.channels)


def one_hot_labels(semantic: torch.Tensor, channels: int) -> torch.Tensor | None:
    """N×H×W: which of the first `channels` channels is 1, or `channels` where all are 0.

    None where looking labels up does not pay or is not the same: on a GPU, inside autocast, while a graph is
    captured, for the reference's arithmetic, for maps that are not one-hot or that want a gradient.
    """
    if (
        semantic.device.type != "cpu"
        or semantic.requires_grad
        or torch.is_autocast_enabled("cpu")
        or torch.compiler.is_compiling()
        or ops.preferred_backend() == "reference"
    ):
        return None
    ones = semantic == 1
    edges_are_binary = (ones[:, channels:] | (semantic[:, channels:] == 0)).all()
    largest, labels = ones[:, :channels].max(dim=1)
    # A map whose square sums to its largest value, 0 or 1, has nothing but that value.
    if not edges_are_binary or not torch.equal(
        semantic[:, :channels].square().sum(1), largest.to(semantic.dtype)
    ):
        return None
    return labels.where(largest, channels)
