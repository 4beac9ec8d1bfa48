"""The small layers that every network here is made of."""

import torch
import torch.nn.functional as F
from torch import nn


def leaky_relu(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.2)


def upsample(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class SpectralConv2d(nn.Conv2d):
    """A convolution whose weight is divided by its largest singular value (Miyato et al., ICLR 2018).

    The value is estimated by one power iteration per training forward and none in eval, with the vectors `u`
    (output side) and `v` as buffers, so that a saved model computes what it computed before.
    """

    u: torch.Tensor
    v: torch.Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, **options: object) -> None:
        super().__init__(in_channels, out_channels, kernel_size, **options)  # type: ignore[arg-type]
        self.register_buffer("u", F.normalize(torch.randn(out_channels), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(self.weight[0].numel()), dim=0))

    def normalised_weight(self) -> torch.Tensor:
        """W / σ with σ = uᵀ W v."""
        matrix = self.weight.flatten(1)
        u, v = self.u, self.v
        if self.training:
            with torch.no_grad():
                v = F.normalize(matrix.mT @ u, dim=0, eps=1e-12)
                u = F.normalize(matrix @ v, dim=0, eps=1e-12)
                self.u.copy_(u)
                self.v.copy_(v)
        else:  # autograd keeps what it is given; the buffers may change before the backward pass
            u, v = u.clone(), v.clone()
        return self.weight / torch.dot(u, matrix @ v)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(x, self.normalised_weight(), self.bias)


class BranchedConv2d(nn.Conv2d):
    """Several convolutions of one input, computed as one; `branches` equal shares of the output channels.

    Only initialisation has to know: each share is initialised as the convolution that it is.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, branches: int) -> None:
        super().__init__(in_channels, branches * out_channels, kernel_size, padding=kernel_size // 2)
        self.branches = branches


class ConvNormAct(nn.Sequential):
    """SN-conv (no bias) · norm · LReLU, "cna" with batch norm and "cni" with instance norm;
    padding keeps the size.
    """

    def __init__(
        self, fin: int, fout: int, kernel: int, *, stride: int = 1, norm: type[nn.Module] = nn.BatchNorm2d
    ) -> None:
        super().__init__(
            SpectralConv2d(fin, fout, kernel, stride=stride, padding=kernel // 2, bias=False),
            norm(fout),
            nn.LeakyReLU(0.2),
        )


def initialise(network: nn.Module, gain: float = 0.02) -> None:
    """Xavier-normal convolutions and Linears, batch norm weights N(1, gain), every bias zero;
    from torch's generator.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            for share in module.weight.data.chunk(getattr(module, "branches", 1)):
                nn.init.xavier_normal_(share, gain)
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, gain)
        if isinstance(getattr(module, "bias", None), torch.Tensor):
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
