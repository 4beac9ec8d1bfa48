"""Residual blocks that read the layout: the CC block, which predicts convolutions from it (Liu et al. 2019,
section 3.1), and the SPADE block, which predicts modulations (Park et al., CVPR 2019).
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse import ops
from ccfpse.models.layers import BranchedConv2d, SpectralConv2d, leaky_relu
from ccfpse.models.layout import Layout, LayoutConv2d


class CCBlock(nn.Module):
    """fin → fout on a layout map: twice batch norm, conditional convolution, 1×1 mixing, gate;
    plus a shortcut.

    Four predictors conv3×3 · ReLU · conv read the layout map: two for kernels, two for gates (none in the
    ablation without gates). Where the width changes, the shortcut's SPADE normalisation has another. Their
    first convolutions read the same map and are one convolution.
    """

    keep_kernels = False  # from the forward for the backward pass, rather than predict them twice

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
        self.hidden = LayoutConv2d(layout_channels, predictor_width, branches=branches)
        self.kernels_1 = second(9 * fin)
        self.kernels_2 = second(9 * fmid)
        self.gate_1 = second(fmid) if gates else None
        self.gate_2 = second(fout) if gates else None
        self.mix_1 = nn.Conv2d(fin, fmid, 1)
        self.mix_2 = nn.Conv2d(fmid, fout, 1)
        self.shortcut = (
            None if fin == fout else SpadeShortcut(fin, fout, predictor_width, predictor_kernel, norm)
        )

    def forward(self, x: torch.Tensor, layout: Layout) -> torch.Tensor:
        """x N×fin×H×W, or half as large as the layout of H×W (whose N may be 1) -> N×fout×H×W."""
        x = layout.fit(x)
        hidden = F.relu(self.hidden(layout)).chunk(self.hidden.branches, dim=1)
        d = self._convolved(self.norm_1(x), hidden[0], self.kernels_1)
        d = self.mix_1(d)
        d = leaky_relu(d if self.gate_1 is None else d * torch.sigmoid(self.gate_1(hidden[2])))
        d = self._convolved(self.norm_2(d), hidden[1], self.kernels_2)
        d = self.mix_2(d)
        d = leaky_relu(d if self.gate_2 is None else d * torch.sigmoid(self.gate_2(hidden[3])))
        return d + (x if self.shortcut is None else self.shortcut(x, hidden[-1]))

    def _convolved(self, x: torch.Tensor, hidden: torch.Tensor, kernels: nn.Conv2d) -> torch.Tensor:
        return ops.predicted_cond_conv(
            x, hidden, kernels.weight, kernels.bias, keep_kernels=self.keep_kernels
        )


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
        gamma, beta = self.modulation(hidden).chunk(2, dim=1)
        return self.norm(x) * (1 + gamma) + beta


class SpadeShortcut(SpadeNorm):
    """SN-conv1×1(SPADE(x)): the shortcut of a block that changes the width."""

    def __init__(
        self, fin: int, fout: int, predictor_width: int, predictor_kernel: int, norm: type[nn.BatchNorm2d]
    ) -> None:
        super().__init__(fin, predictor_width, predictor_kernel, norm)
        self.conv = SpectralConv2d(fin, fout, 1, bias=False)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """x N×fin×H×W, hidden N×predictor_width×H×W -> N×fout×H×W."""
        return self.conv(super().forward(x, hidden))


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
        self.hidden = LayoutConv2d(layout_channels, predictor_width, branches=branches)
        self.norm_1 = SpadeNorm(fin, predictor_width, predictor_kernel, norm)
        self.norm_2 = SpadeNorm(fmid, predictor_width, predictor_kernel, norm)
        self.conv_1 = SpectralConv2d(fin, fmid, 3, padding=1)
        self.conv_2 = SpectralConv2d(fmid, fout, 3, padding=1)
        self.shortcut = (
            None if fin == fout else SpadeShortcut(fin, fout, predictor_width, predictor_kernel, norm)
        )

    def forward(self, x: torch.Tensor, layout: Layout) -> torch.Tensor:
        """x N×fin×H×W, or half as large as the layout of H×W (whose N may be 1) -> N×fout×H×W."""
        x = layout.fit(x)
        hidden = F.relu(self.hidden(layout)).chunk(self.hidden.branches, dim=1)
        d = self.conv_1(leaky_relu(self.norm_1(x, hidden[0])))
        d = self.conv_2(leaky_relu(self.norm_2(d, hidden[1])))
        return d + (x if self.shortcut is None else self.shortcut(x, hidden[2]))
