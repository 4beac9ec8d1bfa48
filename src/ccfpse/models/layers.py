"""The small layers that every network here is made of."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import nn


def leaky_relu(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.2)


def upsample(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Computes in the tensors' own dtypes."""
    available = torch.amp.is_autocast_available(device.type)  # it is not on the meta device
    active = available and torch.is_autocast_enabled(device.type)
    return torch.autocast(device.type, enabled=False) if active else nullcontext()


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
        with without_autocast(x.device):  # σ in float32
            weight = self.normalised_weight()
        return self._conv_forward(x, weight, self.bias)


class BatchRenorm2d(nn.BatchNorm2d):
    """Batch renormalisation (Ioffe 2017, arXiv 1702.03275): training normalises as evaluation will.

    The batch's statistics carry the gradient, but the result is corrected to that of the running ones, within
    bounds that open over the first steps as in the paper. For small batches: predicted kernels multiply, and
    a layout unlike the average, which its own batch would tame in training, blows up in evaluation.
    """

    opening_steps = 500
    slowest_momentum = 0.02  # the running mean is a plain mean until it has seen 1 / 0.02 batches
    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        variance, mean = torch.var_mean(x.to(self.running_var.dtype), (0, 2, 3), correction=0)
        scale, shift = self.scale_and_shift(mean, variance)
        return F.batch_norm(x, None, None, scale, shift, training=True, eps=self.eps)

    def scale_and_shift(
        self, mean: torch.Tensor, variance: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What a training batch is scaled and shifted by, once normalised by its own statistics (all of C
        numbers); these are taken into the running ones.
        """
        r, d = self._correction(mean, variance)
        return (r * self.weight, d * self.weight + self.bias) if self.affine else (r, d)

    @torch.no_grad()
    def _correction(self, mean: torch.Tensor, variance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(r, d) with r·(x - μ_batch) / σ_batch + d = (x - μ_running) / σ_running within the bounds."""
        running = torch.sqrt(self.running_var + self.eps)
        opened = (self.num_batches_tracked / self.opening_steps).clamp(max=1.0)
        r_max, d_max = 1 + 2 * opened, 5 * opened
        r = (torch.sqrt(variance + self.eps) / running).clamp(1 / r_max, r_max)
        d = ((mean - self.running_mean) / running).clamp(-d_max, d_max)
        self.num_batches_tracked += 1
        momentum = (1 / self.num_batches_tracked).clamp(min=self.slowest_momentum)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)
        return r, d


NORMS: dict[str, type[nn.BatchNorm2d]] = {"batch": nn.BatchNorm2d, "batch_renorm": BatchRenorm2d}


class LayerNorm2d(nn.GroupNorm):
    """Normalises each image over channels and pixels at once: layers after it still see brightness and,
    where the convolution before it has a bias, contrast, which instance norm takes away.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels, affine=False)


# Of networks that look at one image at a time.
IMAGE_NORMS: dict[str, type[nn.Module] | None] = {
    "instance": nn.InstanceNorm2d,
    "layer": LayerNorm2d,
    "none": None,
}


class BranchedConv2d(nn.Conv2d):
    """Several convolutions of one input, computed as one; `branches` equal shares of the output channels.

    Only initialisation has to know: each share is initialised as the convolution that it is.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, branches: int) -> None:
        super().__init__(in_channels, branches * out_channels, kernel_size, padding=kernel_size // 2)
        self.branches = branches


class ConvNormAct(nn.Sequential):
    """SN-conv (no bias) · norm · LReLU, "cna" with batch norm and "cni" with instance norm;
    padding keeps the size. The convolution has a bias where no norm takes it away again.
    """

    def __init__(
        self,
        fin: int,
        fout: int,
        kernel: int,
        *,
        stride: int = 1,
        norm: type[nn.Module] | None = nn.BatchNorm2d,
    ) -> None:
        bias = norm in (None, LayerNorm2d)
        super().__init__(
            SpectralConv2d(fin, fout, kernel, stride=stride, padding=kernel // 2, bias=bias),
            nn.Identity() if norm is None else norm(fout),
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
