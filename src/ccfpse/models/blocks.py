"""Residual blocks that read the layout: the CC block, which predicts convolutions from it (Liu et al. 2019,
section 3.1), and the SPADE block, which predicts modulations (Park et al., CVPR 2019).
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse import ops
from ccfpse.models.layers import BranchedConv2d, SpectralConv2d, leaky_relu

Modulation = tuple[torch.Tensor, torch.Tensor]


class CCBlock(nn.Module):
    """fin → fout on a layout map: twice batch norm, conditional convolution, 1×1 mixing, gate;
    plus a shortcut.

    Four predictors conv3×3 · ReLU · conv read the layout map: two for kernels, two for gates (none in the
    ablation without gates). Where the width changes, the shortcut's SPADE normalisation has another. Their
    first convolutions read the same map and are one convolution.
    """

    def __init__(
        self,
        fin: int,
        fout: int,
        layout_channels: int,
        *,
        predictor_width: int = 128,
        predictor_kernel: int = 3,
        norm: type[nn.BatchNorm2d] = nn.BatchNorm2d,
        gates: bool = True,
    ) -> None:
        super().__init__()
        fmid = min(fin, fout)
        branches = 2 + 2 * gates + (fin != fout)
        second = partial(
            nn.Conv2d, predictor_width, kernel_size=predictor_kernel, padding=predictor_kernel // 2
        )
        self.norm_1 = norm(fin)
        self.norm_2 = norm(fmid)
        self.hidden = BranchedConv2d(layout_channels, predictor_width, 3, branches=branches)
        self.kernels_1 = second(9 * fin)
        self.kernels_2 = second(9 * fmid)
        self.gate_1 = second(fmid) if gates else None
        self.gate_2 = second(fout) if gates else None
        self.mix_1 = nn.Conv2d(fin, fmid, 1)
        self.mix_2 = nn.Conv2d(fmid, fout, 1)
        self.shortcut = (
            None if fin == fout else SpadeShortcut(fin, fout, predictor_width, predictor_kernel, norm)
        )

    def forward(self, x: torch.Tensor, layout: torch.Tensor) -> torch.Tensor:
        """x N×fin×H×W, layout N×S'×H×W (or N = 1) -> N×fout×H×W."""
        hidden = F.relu(self.hidden(layout)).chunk(self.hidden.branches, dim=1)
        d = ops.predicted_cond_conv(self.norm_1(x), hidden[0], self.kernels_1.weight, self.kernels_1.bias)
        d = self.mix_1(d)
        d = leaky_relu(d if self.gate_1 is None else d * torch.sigmoid(self.gate_1(hidden[2])))
        d = ops.predicted_cond_conv(self.norm_2(d), hidden[1], self.kernels_2.weight, self.kernels_2.bias)
        d = self.mix_2(d)
        d = leaky_relu(d if self.gate_2 is None else d * torch.sigmoid(self.gate_2(hidden[3])))
        return d + (x if self.shortcut is None else self.shortcut(x, hidden[-1]))


class SpadeNorm(nn.Module):
    """Spatially-adaptive normalisation of `channels`: BN(x)·(1 + γ) + β.

    γ and β come from one convolution of a hidden map of the layout, γ in the first half of its channels.
    """

    def __init__(
        self, channels: int, predictor_width: int, predictor_kernel: int, norm: type[nn.BatchNorm2d]
    ) -> None:
        super().__init__()
        self.norm = norm(channels, affine=False)
        self.modulation = BranchedConv2d(predictor_width, channels, predictor_kernel, branches=2)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """x N×C×H×W, hidden N×predictor_width×H×W -> N×C×H×W."""
        return self.modulate(x, self.maps(hidden))

    def maps(self, hidden: torch.Tensor) -> Modulation:
        """γ and β, each N×C×H×W: they depend on the layout alone."""
        gamma, beta = self.modulation(hidden).chunk(2, dim=1)
        return gamma, beta

    def modulate(self, x: torch.Tensor, maps: Modulation) -> torch.Tensor:
        gamma, beta = maps
        return self.norm(x) * (1 + gamma) + beta


class SpadeShortcut(SpadeNorm):
    """SN-conv1×1(SPADE(x)): the shortcut of a block that changes the width."""

    def __init__(
        self, fin: int, fout: int, predictor_width: int, predictor_kernel: int, norm: type[nn.BatchNorm2d]
    ) -> None:
        super().__init__(fin, predictor_width, predictor_kernel, norm)
        self.conv = SpectralConv2d(fin, fout, 1, bias=False)

    def modulate(self, x: torch.Tensor, maps: Modulation) -> torch.Tensor:
        return self.conv(super().modulate(x, maps))


class SpadeBlock(nn.Module):
    """fin → fout: twice SPADE · LReLU · SN-conv3×3, plus a shortcut.

    The first convolutions of its two or three normalisations read the same map and are one convolution.
    """

    def __init__(
        self,
        fin: int,
        fout: int,
        layout_channels: int,
        *,
        predictor_width: int = 128,
        predictor_kernel: int = 3,
        norm: type[nn.BatchNorm2d] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        fmid = min(fin, fout)
        branches = 2 if fin == fout else 3
        self.hidden = BranchedConv2d(layout_channels, predictor_width, 3, branches=branches)
        self.norm_1 = SpadeNorm(fin, predictor_width, predictor_kernel, norm)
        self.norm_2 = SpadeNorm(fmid, predictor_width, predictor_kernel, norm)
        self.conv_1 = SpectralConv2d(fin, fmid, 3, padding=1)
        self.conv_2 = SpectralConv2d(fmid, fout, 3, padding=1)
        self.shortcut = (
            None if fin == fout else SpadeShortcut(fin, fout, predictor_width, predictor_kernel, norm)
        )

    def forward(self, x: torch.Tensor, layout: torch.Tensor) -> torch.Tensor:
        """x N×fin×H×W, layout N×S'×H×W -> N×fout×H×W."""
        return self.paint(x, self.prepare(layout))

    def prepare(self, layout: torch.Tensor) -> list[Modulation]:
        """γ and β of each normalisation, from the layout alone."""
        hidden = F.relu(self.hidden(layout)).chunk(self.hidden.branches, dim=1)
        norms = [self.norm_1, self.norm_2] + ([] if self.shortcut is None else [self.shortcut])
        return [norm.maps(h) for norm, h in zip(norms, hidden, strict=True)]

    def paint(self, x: torch.Tensor, maps: Sequence[Modulation]) -> torch.Tensor:
        """The rest, given `prepare`'s maps (whose N may be 1)."""
        d = self.conv_1(leaky_relu(self.norm_1.modulate(x, maps[0])))
        d = self.conv_2(leaky_relu(self.norm_2.modulate(d, maps[1])))
        return d + (x if self.shortcut is None else self.shortcut.modulate(x, maps[2]))
