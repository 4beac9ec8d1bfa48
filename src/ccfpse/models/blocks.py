"""The CC block: a residual block of conditional convolutions, predicted from the layout (Liu et al. 2019,
section 3.1).
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ccfpse import ops
from ccfpse.models.layers import BranchedConv2d, SpectralConv2d, leaky_relu


class CCBlock(nn.Module):
    """fin → fout on a layout map: twice batch norm, conditional convolution, 1×1 mixing, gate;
    plus a shortcut.

    Four predictors conv3×3 · ReLU · conv read the layout map: two for kernels, two for gates. Where the width
    changes, the shortcut's SPADE normalisation has a fifth. Their first convolutions read the same map and
    are one convolution.
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
        branches = 4 if fin == fout else 5
        second = partial(
            nn.Conv2d, predictor_width, kernel_size=predictor_kernel, padding=predictor_kernel // 2
        )
        self.norm_1 = norm(fin)
        self.norm_2 = norm(fmid)
        self.hidden = BranchedConv2d(layout_channels, predictor_width, 3, branches=branches)
        self.kernels_1 = second(9 * fin)
        self.kernels_2 = second(9 * fmid)
        self.gate_1 = second(fmid)
        self.gate_2 = second(fout)
        self.mix_1 = nn.Conv2d(fin, fmid, 1)
        self.mix_2 = nn.Conv2d(fmid, fout, 1)
        self.shortcut = (
            None if fin == fout else SpadeShortcut(fin, fout, predictor_width, predictor_kernel, norm)
        )

    def forward(self, x: torch.Tensor, layout: torch.Tensor) -> torch.Tensor:
        """x N×fin×H×W, layout N×S'×H×W (or N = 1) -> N×fout×H×W."""
        hidden = F.relu(self.hidden(layout)).chunk(self.hidden.branches, dim=1)
        d = ops.predicted_cond_conv(self.norm_1(x), hidden[0], self.kernels_1.weight, self.kernels_1.bias)
        d = leaky_relu(self.mix_1(d) * torch.sigmoid(self.gate_1(hidden[2])))
        d = ops.predicted_cond_conv(self.norm_2(d), hidden[1], self.kernels_2.weight, self.kernels_2.bias)
        d = leaky_relu(self.mix_2(d) * torch.sigmoid(self.gate_2(hidden[3])))
        return d + (x if self.shortcut is None else self.shortcut(x, hidden[4]))


class SpadeShortcut(nn.Module):
    """SN-conv1×1(SPADE(x)): spatially-adaptive normalisation (Park et al., CVPR 2019),
    then the change of width.

    γ and β come from one convolution of the hidden map, γ in the first half of its channels.
    """

    def __init__(
        self, fin: int, fout: int, predictor_width: int, predictor_kernel: int, norm: type[nn.BatchNorm2d]
    ) -> None:
        super().__init__()
        self.norm = norm(fin, affine=False)
        self.modulation = BranchedConv2d(predictor_width, fin, predictor_kernel, branches=2)
        self.conv = SpectralConv2d(fin, fout, 1, bias=False)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        gamma, beta = self.modulation(hidden).chunk(2, dim=1)
        return self.conv(self.norm(x) * (1 + gamma) + beta)
