"""Activation checkpointing: a block keeps its inputs only and is computed again in the backward pass."""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


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


def _forward(
    block: nn.Module,
    forward: Callable[..., torch.Tensor],
    *inputs: torch.Tensor,
    **named: torch.Tensor,
) -> torch.Tensor:
    if not (block.training and torch.is_grad_enabled()):
        return forward(*inputs, **named)
    before = _buffers(block)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _with_buffers(block, before)

    call = functools.partial(forward, **named)
    return checkpoint(call, *inputs, use_reentrant=False, context_fn=contexts)


def _buffers(block: nn.Module) -> list[dict[str, torch.Tensor | None]]:
    return [
        {name: None if value is None else value.clone() for name, value in module._buffers.items()}
        for module in block.modules()
    ]


@contextmanager
def _with_buffers(block: nn.Module, lent: list[dict[str, torch.Tensor | None]]) -> Iterator[None]:
    """The second time begins with the statistics and vectors that the first began with, and updates these
    copies: what a layer counts, it counts once.
    """
    modules = list(block.modules())
    own = [dict(module._buffers) for module in modules]
    for module, buffers in zip(modules, lent, strict=True):
        module._buffers.update(buffers)
    try:
        yield
    finally:
        for module, buffers in zip(modules, own, strict=True):
            module._buffers.update(buffers)
