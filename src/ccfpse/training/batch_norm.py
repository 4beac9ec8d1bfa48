"""Batch norm whose statistics are those of the batches of all processes together, on CPU and GPU alike.

`torch.nn.SyncBatchNorm` does not run on CPUs, where this is tested.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import nn

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
AREA = (0, 2, 3)


def synchronise(network: nn.Module) -> None:
    """Turns every `nn.BatchNorm2d` of a network into a `SynchronisedBatchNorm2d` with the same tensors."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SynchronisedBatchNorm2d


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` over all processes, which must hold equal numbers of values; differentiable once."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        y, mean, variance = _Normalise.apply(x, self.weight, self.bias, self.eps)
        self._update(mean, variance, x.numel() // x.shape[1] * dist.get_world_size())
        return y

    @torch.no_grad()
    def _update(self, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)


class _Normalise(torch.autograd.Function):
    """y = (x - mean)/√(variance + ε)·weight + bias; keeps x, not the normalised values."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float
    ) -> Tensors:
        values = x.float()
        mean = _mean_over_processes(values.mean(AREA))
        variance = _mean_over_processes((values - _spread(mean)).square().mean(AREA))
        scale = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.mark_non_differentiable(mean, variance)
        y = (values - _spread(mean)) * _spread(scale if weight is None else scale * weight)
        return (y if bias is None else y + _spread(bias)).to(x.dtype), mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor, *_: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        grad = grad.float()
        normalised = (x.float() - _spread(mean)) * _spread(scale)
        along, shift = (grad * normalised).mean(AREA), grad.mean(AREA)
        everywhere = _mean_over_processes(torch.stack([along, shift]))
        to_x = grad - _spread(everywhere[1]) - normalised * _spread(everywhere[0])
        to_x = to_x * _spread(scale if weight is None else scale * weight)
        count = x.numel() // x.shape[1]  # of this process: the gradients are averaged over all later
        to_weight, to_bias = (None, None) if weight is None else (along * count, shift * count)
        return to_x.to(x.dtype), to_weight, to_bias, None


def _spread(channels: torch.Tensor) -> torch.Tensor:
    return channels.view(1, -1, 1, 1)


def _mean_over_processes(values: torch.Tensor) -> torch.Tensor:
    dist.all_reduce(values)
    return values / dist.get_world_size()
