"""Batch norm whose statistics are those of the batches of all processes together, on CPU and GPU alike.

`torch.nn.SyncBatchNorm` does not run on CPUs, where this is tested.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from ccfpse.models.layers import BatchRenorm2d

AREA = (0, 2, 3)


def synchronise(network: nn.Module) -> None:
    """Turns every batch norm of a network into its synchronised kind, with the same tensors."""
    kinds: dict[type, type] = {
        nn.BatchNorm2d: SynchronisedBatchNorm2d,
        BatchRenorm2d: SynchronisedBatchRenorm2d,
    }
    for module in network.modules():
        if type(module) in kinds:
            module.__class__ = kinds[type(module)]


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` over all processes, which must hold equal numbers of values; differentiable once."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        mean, variance = _statistics(x)
        self._update(mean, variance, x.numel() // x.shape[1] * dist.get_world_size())
        return _Normalise.apply(x, mean, variance, self.weight, self.bias, self.eps)

    @torch.no_grad()
    def _update(self, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)


class SynchronisedBatchRenorm2d(BatchRenorm2d):
    """`BatchRenorm2d` over all processes, likewise."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        mean, variance = _statistics(x)
        return _Normalise.apply(x, mean, variance, *self.scale_and_shift(mean, variance), self.eps)


@torch.no_grad()
def _statistics(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance (not corrected) of each channel over all processes, float32."""
    values = x.float()
    mean = _mean_over_processes(values.mean(AREA))
    return mean, _mean_over_processes((values - _spread(mean)).square().mean(AREA))


class _Normalise(torch.autograd.Function):
    """y = (x - mean)/√(variance + ε)·weight + bias, with the gradient through x's statistics.

    Keeps x, not the normalised values.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        mean: torch.Tensor,
        variance: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        eps: float,
    ) -> torch.Tensor:
        scale = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, scale)
        y = (x.float() - _spread(mean)) * _spread(scale if weight is None else scale * weight)
        return (y if bias is None else y + _spread(bias)).to(x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        grad = grad.float()
        normalised = (x.float() - _spread(mean)) * _spread(scale)
        along, shift = (grad * normalised).mean(AREA), grad.mean(AREA)
        everywhere = _mean_over_processes(torch.stack([along, shift]))
        to_x = grad - _spread(everywhere[1]) - normalised * _spread(everywhere[0])
        to_x = to_x * _spread(scale if weight is None else scale * weight)
        count = x.numel() // x.shape[1]  # of this process: the gradients are averaged over all later
        to_weight, to_bias = (None, None) if weight is None else (along * count, shift * count)
        return to_x.to(x.dtype), None, None, to_weight, to_bias, None


def _spread(channels: torch.Tensor) -> torch.Tensor:
    return channels.view(1, -1, 1, 1)


def _mean_over_processes(values: torch.Tensor) -> torch.Tensor:
    dist.all_reduce(values)
    return values / dist.get_world_size()
