"""Activation checkpointing: a block keeps its inputs only and is computed again in the backward pass."""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ccfpse.models.layers import SpectralConv2d


def recompute_blocks(generator: nn.Module) -> None:
    """From now on every block of `generator.blocks` is checkpointed in training; the numbers stay the same.

    ValueError where the generator has no blocks.
    """
    blocks = getattr(generator, "blocks", None)
    if not isinstance(blocks, nn.ModuleList):
        raise ValueError(
            f"compute.checkpointing needs a generator made of blocks, {type(generator).__name__} is not; "
            "set compute.checkpointing=false"
        )
    for block in blocks:  # forward alone changes: the names of the weights must not
        block.forward = functools.partial(_forward, block, block.forward)


def _forward(block: nn.Module, forward: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
    if not (block.training and torch.is_grad_enabled()):
        return forward(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _second_time(block)

    return checkpoint(forward, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)


@contextmanager
def _second_time(block: nn.Module) -> Iterator[None]:
    """Batch norm updates copies of its statistics; spectral norm takes the vectors of the first time."""
    kept = [(module, dict(module._buffers)) for module in block.modules() if module._buffers]
    spectral = [m for m in block.modules() if isinstance(m, SpectralConv2d) and m.training]
    for module, buffers in kept:
        for name, value in buffers.items():
            module._buffers[name] = None if value is None else value.clone()
    for module in spectral:
        module.training = False
    try:
        yield
    finally:
        for module, buffers in kept:
            module._buffers.update(buffers)
        for module in spectral:
            module.training = True
