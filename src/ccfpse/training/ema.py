"""The exponential moving average of a network's weights, which is what a run delivers."""

import copy

import torch
from torch import nn


def averaged_copy(network: nn.Module) -> nn.Module:
    """A frozen copy in eval mode to hold the average."""
    average = copy.deepcopy(network).eval()
    return average.requires_grad_(False)


@torch.no_grad()
def update(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average ← decay·average + (1 - decay)·network, for parameters and batch-norm statistics alike.

    The averaged weights see activations of their own, so their statistics are averaged with them. Spectral
    norm's vectors and counters are copied: they are directions and numbers, not averages.
    """
    theirs = network.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point() and name.rpartition(".")[2] not in ("u", "v"):
            value.lerp_(theirs[name], 1 - decay)
        else:
            value.copy_(theirs[name])
